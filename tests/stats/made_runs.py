"""Runs made of a few cells, for tests of statistics."""

import math

import numpy as np
import pandas as pd

from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run

MEAN = {"scope": "image", "reduction": "mean"}
UNIT = MEAN | {"low": 0.0, "high": 1.0}
CARDS = {
    "quality": MEAN | {"name": "quality", "better": "higher"},
    "damage": MEAN | {"name": "damage", "better": "lower"},
    "hit": UNIT | {"name": "hit", "better": "higher"},
    "share": UNIT | {"name": "share", "better": "higher"},
    "loss": UNIT | {"name": "loss", "better": "lower"},
    "correlation": MEAN | {"name": "correlation", "better": "higher", "low": -1.0, "high": 1.0},
    "error": MEAN | {"name": "error", "better": "lower", "low": 0.0, "high": None},
    "mute": MEAN | {"name": "mute", "better": "unstated"},
    "class_entropy": {
        "name": "class_entropy",
        "better": "higher",
        "scope": "set",
        "reduction": "class_entropy",
        "low": 0.0,
        "high": None,
    },
}


def reason(score):
    return "no region" if np.isnan(score) else ""


def run_of(*cells, curves=(), kinds=()):
    """Cells are (model, explainer, metric, scores) or (..., seed); nan is undefined for the reason "no region"."""
    rows = [
        (
            *("d", model, explainer, metric, 1, "s", f"{i}", 0, float(score), reason(score), math.nan, math.nan),
            *((seed or [0])[0], "fp32", "cpu", "f", "e"),
        )
        for model, explainer, metric, scores, *seed in cells
        for i, score in enumerate(scores)
    ]
    if any(metric == "class_entropy" for _, _, metric, *_ in cells):
        rows = [(*row[:6], "*", *row[7:]) for row in rows]
    scores = pd.DataFrame(rows, columns=list(SCORE_COLUMNS))
    return Run(
        scores,
        pd.DataFrame(list(curves), columns=list(CURVE_COLUMNS)),
        CARDS,
        {name: {"name": name, "kind": kind} for name, kind in dict(kinds).items()},
    )
