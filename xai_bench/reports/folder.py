"""A folder of files that appear together or not at all."""

import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from xai_bench.errors import InvalidValueError

DAY = 86_400  # seconds; no report takes longer to write


def put(out: Path, files: Iterable[tuple[str, bytes]], own: Collection[str] = ()) -> None:
    """Write (path, content) under `out`: all is made beside it first, then moved into place in the order given.

    A failure leaves what was there; what a killed process left beside `out` goes. Of `own`, names that
    this writer may have left earlier, those not written now go; other files in `out` are left alone.
    """
    if out.exists() and not out.is_dir():
        raise InvalidValueError(f"a report is written into a folder, but {str(out)!r} is a file")
    out.parent.mkdir(parents=True, exist_ok=True)
    _sweep(out)
    made = Path(tempfile.mkdtemp(prefix=f".{out.name}.{socket.gethostname()}-{os.getpid()}-", dir=out.parent))
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


def _sweep(out: Path) -> None:
    """Remove the half-written folders of `out` whose writers are gone: a killed process cannot clean up."""
    name = re.compile(rf"\.{re.escape(out.name)}\.(?:(?P<node>.*)-(?P<pid>\d+)-)?[a-z0-9_]{{8}}")
    for folder in out.parent.iterdir():
        found = name.fullmatch(folder.name)
        if found and folder.is_dir() and not folder.is_symlink():
            here = found["node"] == socket.gethostname()
            if (here and _gone(int(found["pid"]))) or time.time() - folder.stat().st_mtime > DAY:
                shutil.rmtree(folder, ignore_errors=True)


def _gone(pid: int) -> bool:
    """Whether no process of this machine has this number; unknown, so False, where signal 0 is no mere question."""
    if os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's
        return False
    return False
