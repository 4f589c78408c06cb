"""Runs whose scores are written down in a test."""

import numpy as np
import pandas as pd

from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run

BOUNDED = {"low": 0.0, "high": 1.0, "scope": "image", "reduction": "mean"}
CARDS = {
    "deletion": BOUNDED | {"name": "deletion", "better": "lower"},
    "insertion": BOUNDED | {"name": "insertion", "better": "higher"},
    "pointing_game(tolerance=0)": BOUNDED | {"name": "pointing_game", "better": "higher"},
    "complexity": BOUNDED | {"name": "complexity", "better": "unstated", "high": None},
    "infidelity": BOUNDED | {"name": "infidelity", "better": "lower", "high": None},
    "kar": BOUNDED | {"name": "kar", "better": "higher", "scope": "set"},
    "accuracy": BOUNDED | {"name": "accuracy", "better": "higher", "scope": "set", "reduction": "ratio"},
}
PLAIN = {"data": "d", "model": "m", "explainer": "ig", "metric": "insertion", "version": 1, "spec": "x=1;steps=28"}
PLAIN |= {"target": 3, "reason": "", "error": np.nan, "clean": 0.8, "seed": 0, "precision": "fp32", "device": "cpu"}
PLAIN |= {"fingerprints": "model=aa data=bb", "explainer_spec": "ig()"}


def cell(scores, **changed):
    """Rows of one cell, one per score; nan says why."""
    rows = [PLAIN | {"sample": f"s{i}", "score": score} | changed for i, score in enumerate(scores)]
    for row in rows:
        if row["score"] != row["score"] and not row["reason"]:
            row["reason"] = "map is constant"
    return pd.DataFrame(rows)


def set_cell(records, score, **changed):
    """The row of a set metric and its records (images x steps)."""
    named = PLAIN | {"metric": "kar", "sample": "*", "score": score, "target": -1} | changed
    keys = {key: named[key] for key in ("data", "model", "explainer", "metric")}
    points = [
        keys | {"sample": f"s{i}", "fraction": j / 10, "value": value}
        for i, row in enumerate(records)
        for j, value in enumerate(row)
    ]
    return pd.DataFrame([named]), pd.DataFrame(points)


def run(*cells, curves=(), **info):
    frame = pd.concat(cells, ignore_index=True)[list(SCORE_COLUMNS)]
    points = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=list(CURVE_COLUMNS))
    kinds = {name: {"name": name, "kind": "post-hoc"} for name in ("ig", "gradcam")}
    return Run(frame, points[list(CURVE_COLUMNS)], CARDS, kinds, info)
