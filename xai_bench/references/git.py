"""What git knows of a file: the commit of a working tree, and every version of a file that was committed."""

import os
import subprocess
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from xai_bench.errors import RunError

QUIET = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
PATIENCE = 60.0  # seconds; a history of thousands of commits takes a few


class Version(NamedTuple):
    """A file as a commit left it."""

    commit: str  # 40 hex digits, or 64
    date: str  # of the commit, ISO 8601
    path: str  # from the top of the repository, as it was called then
    content: bytes


def git(folder: Path, *words: str, given: bytes = b"", patience: float = PATIENCE) -> bytes:
    """What `git WORDS` says in a folder; RunError where there is no git, no repository, or no answer."""
    try:
        found = subprocess.run(  # noqa: S603 - a fixed program; names are taken literally
            ["git", "--literal-pathspecs", *words],  # noqa: S607 - the user's own git
            cwd=folder,
            input=given,
            capture_output=True,
            check=True,
            timeout=patience,
            env=os.environ | QUIET,
        )
    except FileNotFoundError as error:
        missing = "git on this machine" if folder.is_dir() else f"folder {str(folder)!r}"
        raise RunError(f"git has no history to tell: there is no {missing}") from error
    except NotADirectoryError as error:
        raise RunError(f"git has no history to tell: {str(folder)!r} is no folder") from error
    except subprocess.TimeoutExpired as error:
        raise RunError(f"git gave no answer within {patience:g} seconds (git {words[0]} in {str(folder)!r})") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {error.returncode}"])[0]
        raise RunError(f"git has no history to tell in {str(folder)!r}: {said}") from error
    return found.stdout


def versions(file: Path) -> Iterator[Version]:
    """Every version of a file that the checked-out branch had, the oldest first, under each of its names.

    Along the first parents, so that a merge is the moment at which the branch got another version. RunError where git
    or the repository is missing, or no commit has the file.
    """
    said = git(file.parent, "log", *_LOG, "--", file.name).decode(errors="surrogateescape")
    entries = [entry for entry in map(_entry, said.split("\1")) if entry][::-1]  # with --reverse git forgets renames
    if not entries:
        raise RunError(f"no commit has the file {str(file)!r}, so it has no history; commit it first, or give a folder")
    kept = [next(same) for _, same in groupby(entries, key=lambda entry: entry.blob)]  # only renamed: no new version
    contents = _contents(file.parent, [entry.blob for entry in kept])
    for entry, content in zip(kept, contents, strict=True):
        yield Version(entry.commit, entry.date, entry.path, content)


def remarks(file: Path) -> Iterator[str]:
    """What a reader of a history of this file must know: that it is cut short, or behind."""
    if git(file.parent, "rev-parse", "--is-shallow-repository").strip() == b"true":
        yield "The clone is shallow, so earlier versions may be missing; `git fetch --unshallow` gets them."
    if git(file.parent, "status", "--porcelain", "--", file.name).strip():
        yield f"{file.name} has changes that are not committed; they are not part of this history."


_LOG = (
    *("--follow", "--first-parent", "--diff-merges=first-parent", "--raw", "--no-abbrev", "-z"),
    *("--no-color", "--no-show-signature", "--format=%x01%H %cI"),
)


class _Entry(NamedTuple):
    commit: str
    date: str
    path: str
    blob: str


def _entry(text: str) -> _Entry | None:
    """One commit as `git log --raw -z` writes it; None where the file was deleted there, or was no file."""
    head, *parts = (part.strip("\n") for part in text.split("\0"))
    place = next((number for number, part in enumerate(parts) if part.startswith(":")), None)
    if place is None:
        return None
    (commit, date), (_, mode, _, blob, status) = head.split(), parts[place].split()
    path = parts[place + 1 + status.startswith(("R", "C"))]  # of a renamed file the new name comes second
    return _Entry(commit, date, path, blob) if status != "D" and mode.startswith("100") else None


def _contents(folder: Path, blobs: list[str]) -> Iterator[bytes]:
    said = git(folder, "cat-file", "--batch", given="".join(f"{blob}\n" for blob in blobs).encode())
    at = 0
    for _ in blobs:
        end = said.index(b"\n", at)
        size = int(said[at:end].split()[-1])
        yield said[end + 1 : end + 1 + size]
        at = end + 2 + size
