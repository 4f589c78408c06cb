"""Scores over time: a folder of reference files, or the versions of one that git has, as one tidy table."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from xai_bench.errors import InvalidValueError, RunError, UnknownNameError
from xai_bench.grammar import counted
from xai_bench.references.commit import CHANGED
from xai_bench.references.git import remarks, versions
from xai_bench.references.layout import KIND
from xai_bench.references.reading import parsed
from xai_bench.runs.identity import changed, contrast, data_prints, model_prints
from xai_bench.runs.run import Run
from xai_bench.stats.blocks import CELL

PLACE = ["number", "created", "commit", "file"]
NUMBERS = ["better", "mean", "low", "high", "n", "undefined", "note"]
COLUMNS = [*PLACE, *CELL, *NUMBERS, "version", "spec", "broken", "changed"]
SHORT = 10  # digits of a commit that people read
DAY, MINUTE, SECOND = 10, 16, 19  # signs of 2026-01-05 09:30:00
Cell = tuple[str, ...]  # of CELL
NO_DATE = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class History:
    """What references say of every cell, in their order.

    `table` has one row per reference and cell: mean with its 95 % interval, `n` images defined, `undefined` ones,
    `broken` says why scores cannot be compared with the cell's earlier ones (another version or spec of the metric,
    other images), `changed` what else is new (weights, explainer, seed, precision, device, packages); "" where nothing
    is. `number` counts the references from 1.
    """

    table: pd.DataFrame  # COLUMNS
    references: pd.DataFrame  # PLACE
    kinds: Mapping[str, str]  # explainer -> kind, as in types.ExplainerCard
    notes: tuple[str, ...]  # what was left out, and why

    def only(self, metrics: Collection[str]) -> "History":
        """Of these metrics alone; all where none is named."""
        known = self.table["metric"].unique().tolist()
        for metric in metrics:
            if metric not in known:
                raise UnknownNameError.of("metric of this history", metric, known)
        kept = self.table[self.table["metric"].isin(list(metrics))].reset_index(drop=True)
        return replace(self, table=kept) if metrics else self

    @cached_property
    def dates(self) -> Mapping[int, str]:
        """Number of a reference -> `2026-01-05`, with the time where others are of that day; UTC; "" without a date."""
        return dict(zip(self.references["number"], _dates(self.references["created"].tolist()), strict=True))


class Entry(NamedTuple):
    """A reference, and where it is from."""

    created: str  # ISO 8601; of a version that git has, the date of the commit
    commit: str
    file: str
    run: Run


def of_folder(folder: Path) -> History:
    """Of the reference files in a folder (*.json), ordered by when they were made, then by name.

    Other JSON files are left out with a word; RunError where a reference is damaged, or there is none.
    """
    if not folder.is_dir():
        raise InvalidValueError(f"{str(folder)!r} is no folder; the history of one file is that of git: --git FILE")
    files = sorted(path for path in folder.glob("*.json") if path.is_file() and not path.name.startswith("."))
    ours = [path for path in files if _is_reference(path)]
    if not ours:
        there = (
            f"{counted(len(files), 'JSON file')}, none of them a reference" if files else "no reference file (*.json)"
        )
        raise RunError(
            f"folder {str(folder)!r} holds {there}; `xai-bench reference update RUN REFERENCE --history FOLDER` keeps "
            "one there"
        )
    foreign = [path.name for path in files if path not in ours]
    found = [_summed(_entry(path)) for path in ours]
    return _history(
        sorted(found, key=lambda one: _when(one.created)), [f"{name} is no reference file." for name in foreign]
    )


def of_file(file: Path) -> History:
    """Of the versions of a reference file that git has, in its order; each has the commit and date of the history.

    A version that cannot be read is left out with a word: nobody can mend it. RunError where none can, and where git or
    the repository is missing.
    """
    found, lost = list[_Summed](), list[str]()
    for version in versions(file):
        try:
            run = parsed(version.content, f"{version.commit[:SHORT]}:{version.path}")
        except RunError as error:
            lost.append(f"The version of {version.commit[:SHORT]} is left out: {error}.")
        else:
            found.append(_summed(Entry(version.date, version.commit, version.path, run)))
    if not found:
        raise RunError(f"no version of {str(file)!r} in git is a reference file; the last one: {lost[-1]}")
    return _history(found, [*remarks(file), *lost])


class _Stamp(NamedTuple):
    """All that may change a score of a cell besides the code of the model."""

    version: str  # of the metric
    spec: str
    explainer: str
    seed: str
    precision: str
    device: str
    images: str
    weights: str
    packages: Mapping[str, str]


class _Summed(NamedTuple):
    """A reference without its scores: of hundreds of them, only this is kept in memory."""

    created: str
    commit: str
    file: str
    cells: pd.DataFrame  # CELL and NUMBERS
    stamps: Mapping[Cell, _Stamp]  # by CELL
    kinds: Mapping[str, str]


def _is_reference(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(200)
    return KIND.encode() in head or not head.strip()  # what is empty was one: it is refused by name


def _entry(path: Path) -> Entry:
    run = parsed(path.read_bytes(), str(path))
    return Entry(str(run.info.get("created", "")), str(run.info.get("commit", "")), path.name, run)


def _summed(entry: Entry) -> _Summed:
    from xai_bench.stats import summary  # noqa: PLC0415 - scipy only where it is asked for

    cells = summary(entry.run)[[*CELL, *NUMBERS]].astype(dict.fromkeys(CELL, "object"))
    kinds = {name: str(card.get("kind", "")) for name, card in entry.run.explainers.items()}
    return _Summed(*entry[:3], cells, _stamps(entry.run), kinds)


def _stamps(run: Run) -> dict[Cell, _Stamp]:
    images, weights, packages = data_prints(run), model_prints(run), run.info.get("versions", {})
    facts = ["version", "spec", "explainer_spec", "seed", "precision", "device"]
    rows = run.scores.drop_duplicates(CELL)[[*CELL, *facts]].astype(str).to_dict("records")
    return {
        (row["data"], row["model"], row["explainer"], row["metric"]): _Stamp._make(
            (*(row[name] for name in facts), images[row["data"]], weights[row["model"]], packages)
        )
        for row in rows
    }


def _history(found: Sequence[_Summed], notes: Sequence[str]) -> History:
    places = pd.DataFrame([(number, *one[:3]) for number, one in enumerate(found, 1)], columns=PLACE)
    seen: dict[Cell, _Stamp] = {}
    parts = []
    for number, one in enumerate(found, 1):
        parts.append(_placed(number, one, seen))
        seen |= one.stamps
    kinds = {name: kind for one in found for name, kind in one.kinds.items()}
    return History(pd.concat(parts, ignore_index=True)[COLUMNS], places, kinds, tuple(notes))


def _placed(number: int, one: _Summed, seen: Mapping[Cell, _Stamp]) -> pd.DataFrame:
    """The cells of a reference, with what is new since each was last seen."""
    cells: list[Cell] = list(one.cells[CELL].itertuples(index=False, name=None))
    stamps = [one.stamps[cell] for cell in cells]
    pairs = [(seen.get(cell, stamp), stamp) for cell, stamp in zip(cells, stamps, strict=True)]
    return one.cells.assign(
        number=number,
        created=one.created,
        commit=one.commit,
        file=one.file,
        version=[stamp.version for stamp in stamps],
        spec=[stamp.spec for stamp in stamps],
        broken=["; ".join(_breaks(*pair)) for pair in pairs],
        changed=["; ".join(_changes(*pair)) for pair in pairs],
    )


def _breaks(before: _Stamp, now: _Stamp) -> Iterator[str]:
    """Why scores of a cell cannot be compared with its earlier ones."""
    if before.version != now.version:
        yield f"metric version {now.version} (was {before.version})"
    if before.spec != now.spec:
        old, new = contrast(before.spec, now.spec)
        yield f"{new} (was {old})"
    if before.images != now.images:
        yield "other images"


def _changes(before: _Stamp, now: _Stamp) -> Iterator[str]:
    """What else may explain a change."""
    if before.weights != now.weights:
        yield "other weights, layers or preprocessing"
    if before.explainer != now.explainer:
        yield f"explainer {now.explainer} (was {before.explainer})"
    for name in ("seed", "precision", "device"):
        old, new = getattr(before, name), getattr(now, name)
        if old != new:
            yield f"{name} {new} (was {old})"
    for name in changed(before.packages, now.packages):
        yield f"{name} {now.packages[name]} (was {before.packages[name]})"


def _when(created: str) -> datetime:
    """In UTC; what has no date, or an unreadable one, comes first; what has no zone is taken as UTC."""
    try:
        found = datetime.fromisoformat(created)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # no date; none that UTC has
        return NO_DATE


def _dates(created: Sequence[str]) -> list[str]:
    """Each day with as much of its time as tells its references apart; what is unreadable as it is."""
    whole = [one[:DAY] if _when(one) == NO_DATE else f"{_when(one):%Y-%m-%d %H:%M:%S}" for one in created]
    days = groupby(sorted(set(whole)), key=lambda one: one[:DAY])
    lengths = {day: _length(list(times)) for day, times in days}
    return [one[: lengths[one[:DAY]]] for one in whole]


def _length(times: Sequence[str]) -> int:
    return next(length for length in (DAY, MINUTE, SECOND) if len({one[:length] for one in times}) == len(times))


def short_commit(commit: str, digits: int = SHORT) -> str:
    """`3e15bc7b1e`; `3e15bc7b1e+` of a tree with changes to that commit."""
    return commit.removesuffix(CHANGED)[:digits] + "+" * commit.endswith(CHANGED)
