"""The scores that two runs share, side by side."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from xai_bench.comparison.checks import Models
from xai_bench.runs.run import Run

CELL = ["data", "model", "explainer", "metric"]
KEY = [*CELL, "sample"]


def side_by_side(reference: Run, other: Run, models: Models) -> pd.DataFrame:
    """One row per cell and image that both have, by the reference's names; of sets the rows with sample "*".

    `score_a`, `target_a` are the other run's, `score_b`, `target_b` the reference's.
    """
    columns = [*KEY, "seed", "score", "target"]
    old, new = (_plain(scores[columns]) for scores in (reference.scores, renamed(other, models)))
    if set(old["seed"]) != set(new["seed"]):  # another seed is another draw of the same: the mean stands for the image
        old, new = (part.groupby(KEY, sort=False, as_index=False).agg(_ONE) for part in (old, new))
    return new.merge(old, on=[*KEY, "seed"], suffixes=("_a", "_b"))


def renamed(run: Run, models: Models) -> pd.DataFrame:
    """The scores of matched models, under the reference's names."""
    back = {new: old for old, new in models.items()}
    scores = run.scores.assign(model=run.scores["model"].astype(str).map(back))
    return scores.dropna(subset="model")


def mean(scores: "pd.Series[float]") -> float:
    """Undefined where one is."""
    return float(scores.mean(skipna=False))


_ONE: Mapping[str, Any] = {"seed": lambda _: 0, "score": mean, "target": "first"}


def _plain(scores: pd.DataFrame) -> pd.DataFrame:
    return scores.astype(dict.fromkeys(KEY, "object"))
