"""Scores of a metric on a data set as arrays: seeds x images x cells, with what is there and what is undefined."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.errors import RunError, UnknownNameError
from xai_bench.runs.run import Run
from xai_bench.stats.resampling import Numbers

CELL = ["data", "model", "explainer", "metric"]
ACROSS = ("explainer", "model")
Flags = NDArray[np.bool_]


class Block(NamedTuple):
    """Per-image scores of one metric on one data set; a cell is a model with an explainer."""

    data: str
    metric: str
    card: Mapping[str, Any]
    binary: bool  # hits: scores from 0 to 1 of which all defined ones, over the whole run, are 0 or 1
    cells: pd.DataFrame  # (C,) rows: model, explainer, in order of appearance
    scores: Numbers  # (seeds, images, C), nan where undefined or not there
    there: Flags  # (seeds, images, C): the run has a row

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is, 0 where nobody says."""
        return {"higher": 1, "lower": -1}.get(str(self.card.get("better")), 0)

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest possible score; infinite where there is none or nobody says."""
        return bounds_of(self.card)


class Group(NamedTuple):
    """Names to be compared: explainers of a model, or models under an explainer; columns of a block."""

    fixed: str
    names: tuple[str, ...]
    columns: NDArray[np.intp]


def blocks(run: Run) -> Iterator[Block]:
    """Block by block in order of appearance; metrics of a whole set are left out."""
    if run.scores.empty:
        return
    checked(run)
    of_sets = [metric for metric, card in run.cards.items() if card.get("scope") == "set"]  # some images have reasons
    scores = run.scores[(run.scores["sample"] != "*") & ~run.scores["metric"].isin(of_sets)]
    hits = _hits(run)
    for (data, metric), rows in scores.groupby(["data", "metric"], sort=False, observed=True):
        cells, column = _places(rows, ["model", "explainer"])
        images, image = _places(rows, ["sample"])
        seeds, seed = _places(rows, ["seed"])
        values = np.full((len(seeds), len(images), len(cells)), np.nan)
        there = np.zeros(values.shape, dtype=bool)
        values[seed, image, column] = rows["score"].to_numpy(np.float64)
        there[seed, image, column] = True
        values[~np.isfinite(values)] = np.nan  # an infinite score is no score
        yield Block(str(data), str(metric), run.cards.get(str(metric), {}), metric in hits, cells, values, there)


def groups(block: Block, across: str) -> Iterator[Group]:
    """What is compared across explainers (of each model) or across models (under each explainer)."""
    fixed = "model" if across == "explainer" else "explainer"
    for held, cells in block.cells.groupby(fixed, sort=False, observed=True):
        yield Group(str(held), tuple(map(str, cells[across])), cells.index.to_numpy())


def bounds_of(card: Mapping[str, Any]) -> tuple[float, float]:
    """Lowest and highest possible score of a metric."""
    low, high = card.get("low"), card.get("high")
    return -np.inf if low is None else float(low), np.inf if high is None else float(high)


def checked_across(across: str) -> None:
    """Explainers or models; nothing else is compared."""
    if across not in ACROSS:
        raise UnknownNameError.of("comparison", across, ACROSS)


def checked(run: Run) -> None:
    """One score per cell, image and seed: two would count one image twice."""
    twice = run.scores[run.scores.duplicated([*CELL, "sample", "seed"])]
    if len(twice):
        data, model, explainer, metric, sample = twice.iloc[0][[*CELL, "sample"]]
        raise RunError(
            f"the run has {metric!r} of {explainer!r} on {model!r}, {data!r} twice for image {sample!r}; one is allowed"
        )


def by_image(scores: Numbers, there: Flags) -> Numbers:
    """Mean over seeds of each image, (seeds, images, C) to (images, C); nan unless defined in every seed of the column.

    A column has the seeds in which any image of it is `there`.
    """
    if len(scores) == 1:
        return np.asarray(scores[0])
    found = np.full(scores.shape[1:], np.nan)
    for seeds, columns in seeded(there):
        found[:, columns] = scores[seeds][:, :, columns].mean(axis=0)
    return found


def seeded(there: Flags) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Columns of (seeds, images, C) that have the same seeds: (seeds, columns); those without any are left out."""
    patterns, group = np.unique(there.any(axis=1), axis=1, return_inverse=True)  # (seeds, patterns), (C,)
    for number, pattern in enumerate(patterns.T):
        if pattern.any():
            yield np.flatnonzero(pattern), np.flatnonzero(group.ravel() == number)


def seeds_of(there: Flags) -> int:
    """How many seeds have any row, of (seeds, images, C)."""
    return int(there.any(axis=(1, 2)).sum())


def in_order_of(found: pd.DataFrame, rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Rows of `found` in the order in which their keys appear in `rows`; within a key as they are."""
    if found.empty:
        return found
    order = rows.drop_duplicates(list(keys))[list(keys)]
    place = order.assign(place=range(len(order))).astype(dict.fromkeys(keys, str))
    placed = found[list(keys)].merge(place, on=list(keys), how="left")["place"].to_numpy()
    return found.iloc[np.argsort(placed, kind="stable")].reset_index(drop=True)


def _places(rows: pd.DataFrame, names: list[str]) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """Distinct values in order of appearance, and the place of each row among them."""
    place = rows.groupby(names, sort=False, observed=True, dropna=False).ngroup()
    distinct = rows[names].drop_duplicates().reset_index(drop=True)
    return distinct.astype(object), np.asarray(place, np.intp)  # categories take no other name


def _hits(run: Run) -> set[str]:
    """Metrics whose defined scores are all 0 or 1, over the whole run: a cell of hits only is still a share of hits.

    A correlation of 1 everywhere is none: the card's bounds must be 0 and 1, unless the run has no card of the metric.
    """
    defined = run.scores[np.isfinite(run.scores["score"]) & (run.scores["sample"] != "*")]
    share = defined["score"].isin([0, 1]).groupby(defined["metric"], observed=True).all()
    cards = {metric: run.cards.get(metric, {"low": 0, "high": 1}) for metric in share.index[share]}
    return {metric for metric, card in cards.items() if (card.get("low"), card.get("high")) == (0, 1)}
