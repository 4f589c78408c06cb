"""A file that appears whole or not at all, whatever happens to the process or the machine that writes it. No torch."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from xai_bench.errors import InvalidValueError

UNFINISHED = ".tmp"  # how the name of a file that is being written ends


def is_unfinished(name: str) -> bool:
    """Whether this is the name of a file that was being written."""
    return name.startswith(".") and name.endswith(UNFINISHED)


def make_folder(folder: Path, what: str) -> Path:
    """The folder, made where it is missing; InvalidValueError, which calls it `what`, where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidValueError(f"{what} {str(folder)!r} cannot be written: {error.strerror}") from error
    return folder


def write_whole(path: Path, content: bytes) -> None:
    """The file appears whole or not at all, and stays when the power fails."""
    temporary = _unfinished(path)
    try:
        _fill(temporary, content)
        temporary.replace(path)
        _settle(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_all(files: Mapping[Path, bytes]) -> None:
    """All of the files appear, their folders made, or everything stays as it was.

    All are written beside their places first, and moved there only then; where a move fails, those before it are taken
    back. OSError with the name of the one that could not be written.
    """
    beside = {path: _unfinished(path) for path in files}
    made = [folder for path in files for folder in _missing(path.parent)]
    before: dict[Path, bytes | None] = {}
    path = Path()
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _fill(beside[path], content)
        for path in files:
            earlier = path.read_bytes() if path.exists() else None
            beside[path].replace(path)
            before[path] = earlier
            _settle(path.parent)
    except BaseException as error:
        _take_back(before, [*beside.values()], made)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


def _take_back(before: Mapping[Path, bytes | None], beside: list[Path], made: list[Path]) -> None:
    for path, content in before.items():
        if content is None:
            path.unlink(missing_ok=True)
        else:
            write_whole(path, content)
    for path in beside:
        with suppress(OSError):
            path.unlink(missing_ok=True)
    for folder in sorted(set(made), reverse=True):  # the deepest first
        with suppress(OSError):  # it was never made, or somebody else uses it
            folder.rmdir()


def _missing(folder: Path) -> Iterator[Path]:
    """The folder and those above it, as far as they are not there."""
    while not folder.exists():
        yield folder
        folder = folder.parent


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid4().hex}{UNFINISHED}")


def _fill(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    """The folder's own entry on the disk; some file systems cannot, and say so by EINVAL."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)
