"""Cells of a reference beside those of a run, image by image."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.gate.sizes import Numbers
from xai_bench.references import rounded
from xai_bench.runs.run import Run
from xai_bench.stats.blocks import CELL

Flags = NDArray[np.bool_]
Key = tuple[str, str, str, str]  # data, model (as the reference calls it), explainer, metric


class Pair(NamedTuple):
    """One cell then and now, (n,) images that either has."""

    then: Numbers  # nan where undefined or not there
    now: Numbers
    was: NDArray[np.object_]  # reason, "" where the score is defined, None where the image is not there
    reason: NDArray[np.object_]

    @property
    def paired(self) -> Flags:
        return np.isfinite(self.then) & np.isfinite(self.now)

    @property
    def lost(self) -> Flags:
        """Had a score and have none now."""
        return np.isfinite(self.then) & ~np.isfinite(self.now)

    @property
    def gained(self) -> Flags:
        """Have a score now and had none."""
        return ~np.isfinite(self.then) & np.isfinite(self.now)

    @property
    def left(self) -> Flags:
        """Undefined in both, for the same reason."""
        same = np.array([was == now for was, now in zip(self.was, self.reason, strict=True)], bool)
        return np.asarray(self._undefined & same)

    @property
    def other(self) -> Flags:
        """Undefined in both, for another reason or without a row now."""
        return self._undefined & ~self.left

    @property
    def _undefined(self) -> Flags:
        there = np.array([reason is not None for reason in self.was], bool)
        return there & ~np.isfinite(self.then) & ~np.isfinite(self.now)


class Records(NamedTuple):
    """The records of a set metric then and now: images x steps, of the images that either has."""

    then: Numbers
    now: Numbers


def cells(run: Run, names: Mapping[str, str] | None = None) -> dict[Key, pd.DataFrame]:
    """Rows of every cell, one per image, in order; only those of models in `names`, called as it says."""
    return _by_cell(run.scores, names)


def pair(then: pd.DataFrame, now: pd.DataFrame) -> Pair:
    """A cell's images of both; the row of the whole set is left out."""
    old, new = _by_image(then), _by_image(now)
    both = old.index.union(new.index, sort=False)
    sides = [part.reindex(both) for part in (old, new)]
    scores = [side["score"].to_numpy(np.float64) for side in sides]
    reasons = [np.array([None if one != one else one for one in side["reason"]], object) for side in sides]  # noqa: PLR0124
    return Pair(*scores, *reasons)


def is_of_set(rows: pd.DataFrame) -> bool:
    """Whether a cell has one score of all its images."""
    return bool((rows["sample"] == "*").any())


def whole(rows: pd.DataFrame) -> tuple[float, str]:
    """The one score of a cell, nan with its reason where it is undefined."""
    row = rows[rows["sample"] == "*"]
    score = float(rounded(row["score"].to_numpy(np.float64))[0]) if len(row) else np.nan
    return score, "" if np.isfinite(score) else str(row["reason"].iloc[0]) if len(row) else "not scored now"


def records(then: pd.DataFrame, now: pd.DataFrame) -> Records:
    """Of points of both, rounded as a reference rounds them."""
    wide = [_wide(points) for points in (then, now)]
    both = wide[0].index.union(wide[1].index, sort=False)
    return Records(*(part.reindex(both).to_numpy(np.float64) for part in wide))


def points(run: Run, names: Mapping[str, str] | None = None) -> dict[Key, pd.DataFrame]:
    """Records of the run's set metrics by cell."""
    of_sets = [str(metric) for metric in run.scores.loc[run.scores["sample"] == "*", "metric"].unique()]
    return _by_cell(run.points(of_sets), names) if of_sets else {}


def _by_cell(rows: pd.DataFrame, names: Mapping[str, str] | None) -> dict[Key, pd.DataFrame]:
    found = {}
    for key, part in rows.groupby(CELL, sort=False, observed=True):
        data, model, explainer, metric = map(str, key)
        if names is None or model in names:
            found[data, model if names is None else names[model], explainer, metric] = part
    return found


def _by_image(rows: pd.DataFrame) -> pd.DataFrame:
    """Score and reason of each image."""
    images = rows[rows["sample"] != "*"]
    scores = rounded(images["score"].to_numpy(np.float64))
    reasons = images["reason"].astype(object).where(images["reason"].notna(), "").astype(str)
    found = pd.DataFrame({"sample": images["sample"].astype(str), "score": scores, "reason": reasons})
    found.loc[found["score"].isna() & (found["reason"] == ""), "reason"] = "no reason given"
    return found.set_index("sample")


def _wide(points: pd.DataFrame) -> pd.DataFrame:
    frame = points.assign(value=rounded(points["value"].to_numpy(np.float64)), sample=points["sample"].astype(str))
    return frame.pivot_table(index="sample", columns="fraction", values="value", observed=True)
