"""Mean curves with a band."""

from typing import Any

import numpy as np
import pandas as pd

from xai_bench.runs.run import Run
from xai_bench.stats.blocks import CELL
from xai_bench.stats.resampling import resampled_means, tails

BANDS = [*CELL, "fraction", "mean", "low", "high", "n"]


def curve_bands(run: Run) -> pd.DataFrame:
    """Mean curve of each cell over its images with a 95 % percentile bootstrap band per step; set metrics left out.

    Between the points at which an image's curve was evaluated it is a straight line, as for its area. An image with a
    curve of each of several seeds is their mean.
    """
    rows: list[tuple[Any, ...]] = []
    scopes = {metric: run.cards.get(metric, {}).get("scope", "image") for metric in run.scores["metric"].unique()}
    points = run.points([metric for metric, scope in scopes.items() if scope == "image"])
    if points.duplicated([*CELL, "sample", "fraction"]).any():
        keys = [*CELL, "sample", "fraction"]
        points = points.groupby(keys, sort=False, observed=True)["value"].mean().reset_index()
    for key, cell in points.groupby(CELL, sort=False, observed=True):
        curves = cell.pivot(index="sample", columns="fraction", values="value")  # noqa: PD010
        whole = curves.interpolate(axis=1, method="index", limit_area="inside").dropna()
        steps, values = curves.columns, whole.to_numpy(np.float64)
        if len(steps) < 2 or not len(values):
            continue
        low, high = np.quantile(resampled_means(values), tails(), axis=0) if len(values) > 1 else 2 * [values[0]]
        bands = zip(steps, values.mean(axis=0), low, high, strict=True)
        rows.extend((*key, *point, len(values)) for point in bands)
    return pd.DataFrame(rows, columns=BANDS)
