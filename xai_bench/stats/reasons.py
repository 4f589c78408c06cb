"""What could not be scored, and why."""

import numpy as np
import pandas as pd

from xai_bench.runs.run import Run

CELL = ["data", "model", "explainer", "metric"]
UNDEFINED = [*CELL, "reason", "undefined", "scored"]


def undefined(run: Run) -> pd.DataFrame:
    """One row per data set, model, explainer, metric and reason: how many scores lack for it, of how many in all."""
    scored = run.scores.groupby(CELL, sort=False, observed=True).size().reset_index(name="scored")
    missing = run.scores[~np.isfinite(run.scores["score"])]
    reasons = missing["reason"].fillna("").astype(str).replace("", "no reason given")
    cells = missing[CELL].assign(reason=reasons).groupby([*CELL, "reason"], sort=False, observed=True)
    found: pd.DataFrame = cells.size().reset_index(name="undefined").merge(scored, on=CELL)[UNDEFINED]
    return found.astype(dict.fromkeys(CELL, object))
