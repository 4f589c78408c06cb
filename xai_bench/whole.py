"""A file that appears whole or not at all, whatever happens to the process or the machine that writes it. No torch."""

import errno
import os
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
    temporary = path.with_name(f".{path.name}.{uuid4().hex}{UNFINISHED}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _settle(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


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
