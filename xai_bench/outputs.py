"""Where a command may write: over nothing that it reads, and into no run folder. Nothing is made here."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from xai_bench.errors import InvalidValueError

Given = tuple[str, Path | None]  # what the user calls it, and where
PAGES = "report"  # the one folder of a run folder that holds no run


def check_outputs(
    files: Iterable[Given] = (), reads: Iterable[str | Path | None] = (), *, folders: Iterable[Given] = ()
) -> None:
    """Refuse, in one sentence, places that were asked for: `files` to be written, `folders` to be written into.

    None may be a file that is read (`reads`, where URLs and None are passed over) or lie in a run folder but for its
    `report`; no file may be named twice; and each must have a folder, or room for one.
    """
    read = [Path(place) for place in reads if place is not None and "://" not in str(place)]
    runs = {place.resolve() for place in read if place.is_dir()}
    taken: dict[Path, str] = {}
    for option, path in files:
        if path is None:
            continue
        _check_file(option, path, read, taken)
        _check_run(option, path, runs)
        _check_makeable(f"the folder of {option}", path.parent)
        if is_plain(path):
            taken[path.resolve()] = f"{str(path)!r}, given for {option} too"
    for option, path in folders:
        if path is not None:
            _check_run(option, path, runs)
            _check_makeable(option, path)


def is_plain(path: Path) -> bool:
    """Whether a file is there, or can be: no folder, and no device such as /dev/stdout."""
    return path.is_file() or not path.exists()


def _check_file(option: str, path: Path, read: Iterable[Path], taken: Mapping[Path, str]) -> None:
    if path.is_dir():
        raise InvalidValueError(f"{option} {str(path)!r} is a folder; name a file")
    over = next((repr(str(place)) for place in read if _same(path, place)), taken.get(path.resolve()))
    if over:
        raise InvalidValueError(f"{option} would write over {over}; name another file")


def _same(one: Path, other: Path) -> bool:
    """Under whatever name: a link, or other letters where the file system makes no difference."""
    return one.resolve() == other.resolve() or (
        is_plain(one) and one.exists() and other.exists() and one.samefile(other)
    )


def _check_run(option: str, path: Path, runs: Iterable[Path]) -> None:
    whole = path.resolve()
    for folder in (whole, *whole.parents):
        if (folder in runs or _is_run(folder)) and whole.relative_to(folder).parts[:1] != (PAGES,):
            raise InvalidValueError(
                f"{option} {str(path)!r} lies in the run folder {str(folder)!r}, which holds nothing but the run; name "
                "a place outside"
            )


def _is_run(folder: Path) -> bool:
    return (folder / "run.json").is_file() and (folder / "scores").is_dir()


def _check_makeable(what: str, folder: Path) -> None:
    """The folder is there and can be written, or can be made."""
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    why = "Not a directory" if not there.is_dir() else "" if os.access(there, os.W_OK) else "Permission denied"
    if why:
        raise InvalidValueError(f"{what} {str(folder)!r} cannot be written: {why}")
