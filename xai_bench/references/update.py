"""A reference renewed from a run, with what changed."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from xai_bench.errors import InvalidValueError, RunError
from xai_bench.references import words
from xai_bench.references.changes import Changes, changes
from xai_bench.references.commit import current
from xai_bench.references.keeping import content, refuse_foreign
from xai_bench.references.reading import parsed
from xai_bench.runs.run import Run
from xai_bench.whole import write_all

OF_ITS_MAKING = ("created", "commit", "digest")  # differ although nothing was measured otherwise
REPLACED = "The earlier reference was damaged, so nothing says what changed."


class Update(NamedTuple):
    """What a reference says now, not yet written."""

    path: Path
    content: bytes
    changes: Changes
    same: bool  # nothing but when and at which commit it was made: the file stays as it is


def updated(run: Run, path: Path, *, force: bool = False) -> Update:
    """What the reference at `path` would be after a run; nothing is written.

    InvalidValueError where the path holds something else. RunError where the reference there is damaged; with `force`
    it is as if there was none.
    """
    refuse_foreign(path)
    made = content(run, str(run.info.get("commit") or current(besides=path)))
    now = parsed(made, str(path))
    earlier = path.read_bytes() if path.is_file() else None
    try:
        before = None if earlier is None else parsed(earlier, str(path))
    except RunError:
        if not force:
            raise
        return Update(path, made, Changes(changes(None, now).cells, (REPLACED,)), same=False)
    if earlier is not None and _said(earlier) == _said(made):
        return Update(path, earlier, changes(before, now), same=True)
    return Update(path, made, changes(before, now), same=False)


def keep(update: Update, *, history: Path | None = None, markdown: Path | None = None) -> tuple[Path, ...]:
    """Write what changed, a copy into the folder `history`, and the words for a pull request; gives the files written.

    InvalidValueError where one cannot be written; then none is.
    """
    wanted: dict[Path, bytes] = {}
    if history is not None:
        copy = _place(history, update.content)
        wanted |= {} if copy.is_file() else {copy: update.content}
    if markdown is not None:
        wanted[markdown] = words.markdown(update.changes, update.path.name).encode()
    if not update.same:
        wanted[update.path] = update.content
    try:
        write_all(wanted)
    except OSError as error:
        raise InvalidValueError(f"{error.filename!r} cannot be written: {error.strerror}") from error
    return tuple(wanted)


def _said(file: bytes) -> dict[str, Any]:
    return {key: value for key, value in json.loads(file).items() if key not in OF_ITS_MAKING}


def _place(folder: Path, file: bytes) -> Path:
    """`2026-01-05-1a2b3c4d5e.json`, or with `-2` where another reference has that name; its own where it is there."""
    table = json.loads(file)
    date, commit = str(table.get("created", ""))[:10] or "undated", str(table.get("commit", ""))
    short = commit[:10] + commit[40:].replace("+", "-")
    name = re.sub(r"[^\w-]+", "-", f"{date}-{short}".strip("-"))
    number, path = 1, folder / f"{name}.json"
    while path.exists() and path.read_bytes() != file:
        number += 1
        path = folder / f"{name}-{number}.json"
    return path
