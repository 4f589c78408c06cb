"""Scores read against what they could be: the model's confidence in the clean image, a random map, the best one.

Raw deletion and insertion compare models by how confident they are as much as by their explanations: insertion favours
models that are sure of themselves, deletion those that never are (Nourelahi et al. 2022, arXiv 2205.13042). Computed
from stored rows, so that a report needs no model.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.runs.run import Run
from xai_bench.stats import CELL, Numbers, resampled_means
from xai_bench.stats.blocks import Flags, by_image, in_order_of
from xai_bench.stats.estimates import estimate
from xai_bench.stats.intervals import FEW, by_count, expanded_bca
from xai_bench.stats.resampling import tails

Texts = NDArray[Any]  # (C,)

FAMILY = "faithfulness"
CONTROL, CEILING = "random", "region"
WON_BY_THE_OBJECT = ("localisation", "faithfulness")  # families in which the object itself is the map to beat
COLUMNS = [*CELL, "reading", "better", "mean", "low", "high", "n", "undefined", "note"]
READINGS = ("over clean", "minus random")
COSTS = ["model", "explainer", "seconds", "n", "forward", "backward"]
OF_SET = "one number of the whole set"
AT_ONCE = 256  # cells: 12 MB of means of resamples
ROUNDING = 1e-9  # a smaller distance is one of rounding
ANCHORED = [*CELL, "better", "floor", "best", "best_is", "anchored", "low", "high", "n", "note"]


class Cells(NamedTuple):
    """Scores of one metric on one data set; metrics of a whole set too, with one image "*"."""

    data: str
    metric: str
    card: Mapping[str, Any]
    names: pd.DataFrame  # (C,) rows: model, explainer
    scores: Numbers  # (seeds, images, C), nan where undefined or not there
    clean: Numbers  # (seeds, images, C): the clean image's output
    there: Flags  # (seeds, images, C): the run has a row

    @classmethod
    def of(cls, run: Run, rows: pd.DataFrame) -> "Cells":
        """From the rows of a run."""
        keys = (["seed"], ["sample"], ["model", "explainer"])
        place = tuple(rows.groupby(key, sort=False, observed=True).ngroup().to_numpy() for key in keys)
        shape = tuple(int(axis.max()) + 1 for axis in place)
        scores, clean = np.full((2, *shape), np.nan)
        there = np.zeros(shape, dtype=bool)
        scores[place], clean[place], there[place] = rows["score"], rows["clean"], True
        scores[~np.isfinite(scores)] = np.nan
        data, metric = (str(rows[name].iloc[0]) for name in ("data", "metric"))
        names = rows[keys[2]].drop_duplicates().astype(str).reset_index(drop=True)
        return cls(data, metric, run.cards.get(metric, {}), names, scores, clean, there)

    @property
    def place(self) -> pd.DataFrame:
        """(C,) rows: data, model, explainer, metric, better."""
        facts = {"data": self.data, "metric": self.metric, "better": self.card.get("better", "unstated")}
        return self.names.assign(**facts)

    def controls(self, run: Run, control: str) -> NDArray[np.intp]:
        """Of each cell the column of that control of the same model, (C,); -1 where there is none."""
        known = [run.explainers.get(name, {}).get("name") == control for name in self.names["explainer"]]
        column = {model: place for place, model in self.names["model"][known][::-1].items()}
        return np.array([column.get(model, -1) for model in self.names["model"]], np.intp)


def readings(run: Run) -> pd.DataFrame:
    """Two rows per cell of a faithfulness metric, with 95 % intervals, in the direction of the metric.

    `over clean`: the score divided by the clean image's output, to the power with which the output enters the score;
    undefined where that output is not positive, and the score as it is where it is relative already (a correlation, a
    ratio) or is made of more than one output (hits, several classes). `minus random`: the score minus that of the
    control `random` on the same image and model, so that 0 is what an order without knowledge gives.
    """
    found = [
        _reading(cells, name, *made)
        for cells in _cells(run, run.scores)
        if cells.card.get("family") == FAMILY
        for name, made in zip(READINGS, (_over_clean(cells), _minus_random(cells, run)), strict=True)
    ]
    return _joined(found, run, COLUMNS, CELL)


def _cells(run: Run, scores: pd.DataFrame) -> Iterator[Cells]:
    for _, rows in scores.groupby(["data", "metric"], sort=False, observed=True):
        yield Cells.of(run, rows)


def _joined(parts: list[pd.DataFrame], run: Run, columns: list[str], keys: list[str]) -> pd.DataFrame:
    """In the order of the run."""
    if not parts:
        return pd.DataFrame(columns=columns)
    return in_order_of(pd.concat(parts, ignore_index=True)[columns], run.scores, keys)


def _over_clean(cells: Cells) -> tuple[Numbers, Texts]:
    """Scores relative to the clean output, (seeds, images, C), and what must be said of each cell."""
    degree, count = cells.card.get("degree"), len(cells.names)
    if not degree:
        return cells.scores, np.full(count, "already relative" if degree == 0 else "no one output to divide by")
    positive = cells.clean > 0
    share = cells.scores / np.where(positive, cells.clean, np.nan) ** degree
    return share, np.where((cells.there & ~positive).any(axis=(0, 1)), "clean output is not positive", "")


def _minus_random(cells: Cells, run: Run) -> tuple[Numbers, Texts]:
    floor = cells.controls(run, CONTROL)
    floors = np.where(floor < 0, np.nan, cells.scores[:, :, floor])
    return cells.scores - floors, np.where(floor < 0, f"no control {CONTROL!r} in the run", "")


def _reading(cells: Cells, reading: str, values: Numbers, notes: Texts) -> pd.DataFrame:
    """The rows of one reading, (C,)."""
    found = estimate(values, cells.there, expanded_bca)
    one = (found.note == "one image") & (cells.card.get("scope") == "set")
    said = zip(notes, np.where(one, OF_SET, found.note), strict=True)
    numbers = {"mean": found.mean, "low": found.low, "high": found.high, "n": found.n}
    numbers["undefined"] = cells.there.any(axis=0).sum(axis=0) - found.n
    return cells.place.assign(reading=reading, **numbers, note=["; ".join(filter(None, pair)) for pair in said])


class Best(NamedTuple):
    """What counts as 1 for each cell."""

    scores: Numbers  # (images, C); nan where there is neither
    what: Texts  # (C,): "control region" or "bound"; "" where there is neither


def anchored(run: Run) -> pd.DataFrame:
    """One row per cell of a metric of maps with a direction: 0 is the control `random`, 1 the best there could be.

    (mean - random's mean) / (best's mean - random's mean) over the images on which all three are defined, and the 95 %
    percentile bootstrap interval of that ratio over images; several seeds of an image are averaged first. The best is
    the control `region` where the run has it and the metric is won by pointing at the object, else the bound of the
    metric in its better direction. Above 1 an explainer beats the object itself, below 0 it is worse than `random`.
    Undefined where the best is not shown to be better than `random` on these images: a ratio to nothing.
    """
    found = [
        _anchored(cells, run)
        for cells in _cells(run, run.scores[run.scores["explainer"] != "none"])
        if cells.card.get("better") in ("higher", "lower")
    ]
    return _joined(found, run, ANCHORED, ["data", "model", "metric"])


def _best(cells: Cells, scores: Numbers, run: Run) -> Best:
    told = cells.card.get("family") in WON_BY_THE_OBJECT
    ceiling = cells.controls(run, CEILING) if told else np.full(len(cells.names), -1)
    bound = cells.card.get("high" if cells.card["better"] == "higher" else "low")
    known = bound is not None and np.isfinite(bound)
    else_ = float(bound) if bound is not None and known else np.nan
    what = np.where(ceiling < 0, "bound" if known else "", f"control {CEILING}")
    return Best(np.where(ceiling < 0, else_, scores[:, ceiling]), what)


def _anchored(cells: Cells, run: Run) -> pd.DataFrame:
    """The rows of one metric on one data set, (C,)."""
    scores = by_image(cells.scores, cells.there)
    floor, best = cells.controls(run, CONTROL), _best(cells, scores, run)
    three = np.stack([scores, np.where(floor < 0, scores, scores[:, floor]), best.scores])  # (3, images, C)
    lacks = np.where(best.what == "", f"no bound and no control {CEILING!r}", "").astype(object)
    lacks[floor < 0] = f"no control {CONTROL!r} in the run"
    defined = np.isfinite(three).all(axis=0)
    row = dict(zip(("floor", "best", "anchored", "low", "high"), np.full((5, len(scores[0])), np.nan), strict=True))
    note = np.where(lacks == "", "all undefined", lacks)
    for n, columns, places in by_count(defined & (lacks == "")):
        for part in np.array_split(np.arange(len(columns)), range(AT_ONCE, len(columns), AT_ONCE)) if n else ():
            these = columns[part]
            values, note[these] = _ratios(three[:, places[:, part], these], best.what[these], cells.card)
            for name, numbers in values.items():
                row[name][these] = numbers
    return cells.place.assign(**row, best_is=best.what, n=defined.sum(axis=0), note=note)


def _ratios(three: Numbers, what: Texts, card: Mapping[str, Any]) -> tuple[dict[str, Numbers], Texts]:
    """Of columns whose scores, floors and bests, (3, n, c), are all defined."""
    means, n = three.mean(axis=1), three.shape[1]
    draws = np.stack([resampled_means(part) for part in three])  # (3, resamples, c)
    room = (draws[2] - draws[1]) * (1 if card["better"] == "higher" else -1)
    shown = np.quantile(room, tails()[0], axis=0) > ROUNDING
    row = {"floor": means[1], "best": means[2], "anchored": np.full(len(shown), np.nan)}
    row["anchored"][shown] = _share(means[:, shown])
    few = OF_SET if card.get("scope") == "set" else "one image"
    said = few if n == 1 else "few images" if n < FEW else ""
    note = np.where(shown, said, [f"{name} is not shown to be better than {CONTROL}" for name in what])
    if n > 1:
        row["low"], row["high"] = np.full((2, len(shown)), np.nan)
        for place in np.flatnonzero(shown):
            # resamples in which random reaches the best, at most 2.5 %, have no ratio
            kept = draws[:, room[:, place] > ROUNDING, place]
            row["low"][place], row["high"][place] = np.quantile(_share(kept), tails())
    return row, note


def _share(means: Numbers) -> Any:
    """How far from the floor to the best: means of the scores, the floor and the best, (3, ...) to (...)."""
    scores, floor, best = means
    return (scores - floor) / (best - floor)


def costs(run: Run) -> pd.DataFrame:
    """What an explainer's map of an image of a model cost: seconds by the clock, images through the model and back.

    Means over the n images whose maps were made in a start that came to its end; maps that were kept cost nothing and
    do not count. Empty where the run is older. The first images pay for warming up; workers beside each other slow
    each other down. Costs of other devices are added up: `run.info["costs"]` has them apart.
    """
    told = pd.DataFrame(run.info.get("costs", ()), columns=["model", "explainer", "images", *COSTS[2:3], *COSTS[4:]])
    total = told.groupby(["model", "explainer"], sort=False, as_index=False).sum()
    means = {name: total[name] / total["images"] for name in ("seconds", "forward", "backward")}
    return total.assign(**means, n=total["images"])[COSTS]
