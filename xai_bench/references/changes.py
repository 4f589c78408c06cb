"""What a renewed reference says that the earlier one did not."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from xai_bench.comparison.checks import models_of
from xai_bench.comparison.notes import circumstances, other_classes
from xai_bench.runs.identity import changed, contrast, data_prints, metric_specs
from xai_bench.runs.run import Run
from xai_bench.stats.blocks import CELL

KINDS = ("gone", "other", "changed", "new", "same")  # as they are told
NAMES = ("the old reference", "the new one")
Key = tuple[str, str, str, str]  # of CELL


class Change(NamedTuple):
    """A cell before and now; means are over the images that are defined, nan where none is."""

    data: str
    model: str
    explainer: str
    metric: str
    kind: str  # of KINDS; "other": measured otherwise or on other images, so that scores cannot be compared
    better: str  # "higher", "lower", "unstated"
    before: float
    now: float
    worse: float  # mean worsening by image, of those that both have: above 0 is worse; nan where that says nothing
    n_before: int  # images with a score
    n: int
    undefined_before: int
    undefined: int


@dataclass(frozen=True)
class Changes:
    """All cells of both, and what else differs, a sentence each."""

    cells: tuple[Change, ...]  # by KINDS, the worst first; within that in the order of the reference
    notes: tuple[str, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        """Kind -> cells, zeros left out."""
        found = Counter(cell.kind for cell in self.cells)
        return {kind: found[kind] for kind in KINDS if found[kind]}


def changes(before: Run | None, now: Run) -> Changes:
    """Both as `references.read` gives them, so that scores have the same digits; None where there was none."""
    new = _cells(now)
    if before is None:
        return Changes(tuple(_lone(key, side, now, "new") for key, side in new.items()), ())
    old, other = _cells(before), _incomparable(before, now)
    found = [
        _both(key, side, new[key], before, other) if key in new else _lone(key, side, before, "gone")
        for key, side in old.items()
    ]
    found += [_lone(key, side, now, "new") for key, side in new.items() if key not in old]
    return Changes(tuple(sorted(found, key=_rank)), tuple(_notes(before, now)))


class _Side(NamedTuple):
    """A cell of one of the two."""

    scores: "pd.Series[float]"  # by sample; of a set metric the one of the set
    said: pd.DataFrame  # sample, score, reason and target, and the records of a set metric
    n: int

    @property
    def mean(self) -> float:
        return float(self.scores.mean())  # nan where nothing is defined

    @property
    def undefined(self) -> int:
        return int(self.scores.isna().sum())


def _cells(run: Run) -> dict[Key, _Side]:
    points = {_key(key): part for key, part in run.curves.groupby(CELL, sort=False, observed=True)}
    return {
        _key(key): _side(rows, points.get(_key(key)))
        for key, rows in run.scores.groupby(CELL, sort=False, observed=True)
    }


def _key(names: object) -> Key:
    data, model, explainer, metric = map(str, names)  # type: ignore[call-overload]
    return data, model, explainer, metric


def _side(rows: pd.DataFrame, points: pd.DataFrame | None) -> _Side:
    said = rows[["sample", "score", "reason", "target"]].reset_index(drop=True)
    whole = rows[rows["sample"] == "*"]
    scores = (whole if len(whole) else rows).set_index("sample")["score"]
    if points is None:
        return _Side(scores, said, int(scores.notna().sum()))
    records = points[["sample", "fraction", "value"]].rename(columns={"fraction": "target", "value": "score"})
    return _Side(scores, pd.concat([said, records], ignore_index=True), int(points["sample"].nunique()))


def _lone(key: Key, side: _Side, run: Run, kind: str) -> Change:
    then, now = (side.mean, np.nan), (np.nan, side.mean)
    means = then if kind == "gone" else now
    counts = (side.n, 0, side.undefined, 0) if kind == "gone" else (0, side.n, 0, side.undefined)
    return Change(*key, kind, _better(run, key), *means, np.nan, *counts)


def _both(key: Key, old: _Side, new: _Side, before: Run, other: frozenset[str]) -> Change:
    better, incomparable = _better(before, key), not other.isdisjoint((key[0], key[3]))
    kind = "other" if incomparable else "same" if old.said.equals(new.said) else "changed"
    worse = np.nan if incomparable else _worse(old.scores, new.scores, better)
    return Change(*key, kind, better, old.mean, new.mean, worse, old.n, new.n, old.undefined, new.undefined)


def _worse(old: "pd.Series[float]", new: "pd.Series[float]", better: str) -> float:
    sign = {"higher": -1, "lower": 1}.get(better)
    return np.nan if sign is None else float(sign * (new - old).mean())


def _better(run: Run, key: Key) -> str:
    return str(run.cards.get(key[3], {}).get("better", "unstated"))


def _incomparable(before: Run, now: Run) -> frozenset[str]:
    """Data and metrics that are not what they were."""
    data = changed(data_prints(before), data_prints(now))
    return frozenset([*data, *changed(metric_specs(before), metric_specs(now))])


def _rank(cell: Change) -> tuple[int, float]:
    return KINDS.index(cell.kind), -cell.worse if cell.kind == "changed" and cell.worse == cell.worse else 0.0


def _notes(before: Run, now: Run) -> Iterator[str]:
    for name in changed(data_prints(before), data_prints(now)):
        there = [set(run.scores.loc[run.scores["data"] == name, "sample"]) - {"*"} for run in (before, now)]
        both = len(there[0] & there[1])
        yield f"Data {name} hold other images: {len(there[0]):,} before, {len(there[1]):,} now, {both:,} of one name."
    old_specs, new_specs = metric_specs(before), metric_specs(now)
    for name in changed(old_specs, new_specs):
        old, new = contrast(old_specs[name], new_specs[name])
        yield f"Metric {name} is measured otherwise: {new} (was {old})."
    shared = {model: model for model in models_of(before) if model in models_of(now)}
    named = (NAMES[0], before), (NAMES[1], now)
    for said in (*circumstances(*named, shared), *other_classes(*named, shared)):
        yield said[0].upper() + said[1:]
