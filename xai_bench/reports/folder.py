"""A folder of files that appear together or not at all."""

import shutil
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path

from xai_bench.errors import InvalidValueError


def put(out: Path, files: Iterable[tuple[str, bytes]], own: Collection[str] = ()) -> None:
    """Write (path, content) under `out`: all is made beside it first, then moved into place in the order given.

    A failure leaves what was there. Of `own`, names that this writer may have left earlier, those not written now go;
    other files in `out` are left alone.
    """
    if out.exists() and not out.is_dir():
        raise InvalidValueError(f"a report is written into a folder, but {str(out)!r} is a file")
    out.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        names = [_one(made, name, content) for name, content in files]
        for name in names:
            target = out / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (made / name).replace(target)
        for stale in set(own) - set(names):
            (out / stale).unlink(missing_ok=True)
    finally:
        shutil.rmtree(made)


def _one(folder: Path, name: str, content: bytes) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name
