"""Mean curves with a band."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from xai_bench.runs.run import Run
from xai_bench.stats.blocks import CELL
from xai_bench.stats.resampling import Numbers, resampled_means, tails

BANDS = [*CELL, "fraction", "mean", "low", "high", "n"]
AT_ONCE = 16  # cells, so that means of resamples of their steps fit into memory
Bands = tuple[Numbers, Numbers, Numbers]  # mean, low, high by step


class Curves(NamedTuple):
    """Of one cell."""

    steps: Numbers  # (steps,) fractions
    images: Numbers  # (images, steps), in the order of their names


def curve_bands(run: Run) -> pd.DataFrame:
    """Mean curve of each cell over its images with a 95 % percentile bootstrap band per step; set metrics left out.

    Between the points at which an image's curve was evaluated it is a straight line, as for its area. An image with a
    curve of each of several seeds is their mean.
    """
    scopes = {metric: run.cards.get(metric, {}).get("scope", "image") for metric in run.scores["metric"].unique()}
    points = run.points([metric for metric, scope in scopes.items() if scope == "image"])
    if points.duplicated([*CELL, "sample", "fraction"]).any():
        keys = [*CELL, "sample", "fraction"]
        points = points.groupby(keys, sort=False, observed=True)["value"].mean().reset_index()
    cells, curves = points[CELL].drop_duplicates().itertuples(index=False, name=None), list(_curves(points))
    bands: list[Bands | None] = [None] * len(curves)
    for n in {len(curve.images) for curve in curves} - {0}:
        places = [place for place, curve in enumerate(curves) if len(curve.images) == n and len(curve.steps) > 1]
        for place, band in zip(places, _bands([curves[place].images for place in places]), strict=True):
            bands[place] = band
    rows = [
        (*key, *point, len(curve.images))
        for key, curve, band in zip(cells, curves, bands, strict=True)
        if band
        for point in zip(curve.steps, *band, strict=True)
    ]
    return pd.DataFrame(rows, columns=BANDS)


def _curves(points: pd.DataFrame) -> Iterator[Curves]:
    """Of each cell, in order of appearance."""
    cell = points.groupby(CELL, sort=False, observed=True).ngroup().to_numpy()
    order = np.argsort(cell, kind="stable")
    samples, fractions, values = (
        pd.factorize(points["sample"], sort=True)[0][order],
        *(points[name].to_numpy(np.float64)[order] for name in ("fraction", "value")),
    )
    for part in np.split(np.arange(len(order)), np.flatnonzero(np.diff(cell[order])) + 1) if len(order) else ():
        steps, step = np.unique(fractions[part], return_inverse=True)
        images, image = np.unique(samples[part], return_inverse=True)
        found = np.full((len(images), len(steps)), np.nan)
        found[image, step] = values[part]
        yield Curves(steps, _whole(steps, found))


def _whole(steps: Numbers, values: Numbers) -> Numbers:
    """Curves that are known at all steps, straight between their points."""
    if np.isnan(values).any():
        curves = pd.DataFrame(values, columns=steps).interpolate(axis=1, method="index", limit_area="inside")
        values = curves.dropna().to_numpy(np.float64)
    return values


def _bands(cells: list[Numbers]) -> Iterator[Bands]:
    """Of cells with equally many images: (mean, low, high), a few cells at a time."""
    for start in range(0, len(cells), AT_ONCE):
        part = cells[start : start + AT_ONCE]
        values, ends = np.concatenate(part, axis=1), np.cumsum([cell.shape[1] for cell in part])[:-1]
        low, high = np.quantile(resampled_means(values), tails(), axis=0) if len(values) > 1 else 2 * [values[0]]
        yield from zip(*(np.split(found, ends) for found in (values.mean(axis=0), low, high)), strict=True)
