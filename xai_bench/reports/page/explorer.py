"""What the map explorer of the page shows: images, maps, regions, scores and curves, each in few bytes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import Colormap
from numpy.typing import NDArray

from xai_bench.reports.analysis import Analysis, unique
from xai_bench.reports.page.hidden import Removed, falls, removals, substrate
from xai_bench.reports.page.lines import axis, styles
from xai_bench.reports.page.pixels import KNOTS, encoded, outline, reduced, thumbnails
from xai_bench.reports.style import DIVERGING
from xai_bench.reports.words import described
from xai_bench.runs.run import Panel

MAPS, IMAGES = 1_700_000, 700_000  # characters of the page that maps and images may take
SIDES = (96, 72, 56, 48, 40, 32, 28, 24, 20, 16)  # of maps, the largest that fits
PICTURES = (224, 192, 160, 128, 112, 96, 80, 64)  # of images
MOST = 100  # maps beside each other
POINTS, FEW_POINTS = 33, 17  # of a curve; few where there are many curves
MANY = 4000  # curves
NO_LOOK = {"colour": "#777777", "dash": []}  # of a map without scores
CURVE = ["data", "sample", "model", "explainer", "metric"]
Key = tuple[str, str]  # (model, explainer)
Json = dict[str, Any]


class Grid(NamedTuple):
    """Where the curves of a metric are read, and the range that their whole numbers span."""

    fractions: NDArray[np.float64]
    low: float
    high: float


def explorer(analysis: Analysis) -> Json | None:
    """Everything that the script draws, ready to be written as JSON; None where the run keeps no maps."""
    every = [panel for panel in analysis.run.gallery if panel.maps]
    if not every:
        return None
    whole = _names(analysis, every)
    names = whole[:MOST]
    looks, (side, panels) = styles(analysis), _fitting(every, len(names))
    hidden, records = removals(analysis), _records(analysis, panels)
    grids = _grids(records)
    return {
        "side": side,
        "seeds": analysis.seeds,
        "left_out": _left_out(every, panels, names, whole),
        "columns": [_column(analysis, every, looks, *name) for name in names],
        "metrics": {metric: analysis.arrow(metric) for metric in unique(analysis.summary["metric"])},
        "removals": [_removal(analysis, removed) for removed in hidden],
        "grids": {metric: _grid(grid) | {"axis": axis(analysis, metric)} for metric, grid in grids.items()},
        "knots": KNOTS,
        "palettes": {"viridis": encoded(_palette(colormaps["viridis"])), "diverging": encoded(_palette(DIVERGING))},
        "images": _images(analysis, panels, names, side, hidden, records, grids),
    }


def _names(analysis: Analysis, panels: Sequence[Panel]) -> list[Key]:
    """The maps there are, and those that are undefined, model by model, controls last."""
    found = dict.fromkeys(key for panel in panels for key in panel.maps)
    lacking = analysis.undefined
    lacking = lacking[(lacking["explainer"] != "none") & lacking["data"].isin([panel.data for panel in panels])]
    found |= dict.fromkeys(zip(lacking["model"].astype(str), lacking["explainer"].astype(str), strict=True))
    models = dict.fromkeys(model for model, _ in found)
    explainers = analysis.floor_last(dict.fromkeys(name for _, name in found))
    return [(model, name) for model in models for name in explainers if (model, name) in found]


def _fitting(panels: list[Panel], maps: int) -> tuple[int, list[Panel]]:
    """The size of maps, and as many images as fit at the smallest size."""
    cost = {side: 4 * (side**2 + len(KNOTS)) * maps // 3 for side in SIDES}
    side = next((side for side in SIDES if cost[side] * len(panels) <= MAPS), SIDES[-1])
    return side, panels[: max(1, MAPS // cost[side])]


def _left_out(every: Sequence[Panel], shown: Sequence[Panel], names: Sequence[Key], whole: Sequence[Key]) -> str:
    maps = len(whole) - len(names)
    parts = [f"the first {len(shown)} of {len(every)} images"] * (len(shown) < len(every))
    parts += [f"the first {len(names)} of {len(names) + maps} maps of each"] * (maps > 0)
    return f"Shown: {' and '.join(parts)}, so that the page stays small." if parts else ""


def _column(analysis: Analysis, panels: Sequence[Panel], looks: Mapping[str, Json], model: str, explainer: str) -> Json:
    signed = any((panel.maps[key] < 0).any() for panel in panels for key in panel.maps if key[1] == explainer)
    facts = {"model": model, "explainer": explainer, "kind": analysis.kind(explainer), "signed": bool(signed)}
    return facts | {"style": looks.get(explainer, NO_LOOK)}


def _removal(analysis: Analysis, removed: Removed) -> Json:
    """A removal with the metrics whose curves tell the output after a share was removed, most relevant first."""
    specs = dict(analysis.summary[["metric", "spec"]].itertuples(index=False, name=None))
    falling = [metric for metric in removed.metrics if falls(specs[metric])]
    return {"name": removed.name, "spec": removed.spec, "metrics": removed.metrics, "falling": falling}


def _palette(colours: Colormap) -> NDArray[np.uint8]:
    """256 colours of a colour map, (256, 3)."""
    return np.round(255 * colours(np.arange(256))[:, :3]).astype(np.uint8)


def _grid(grid: Grid) -> Json:
    return {"fractions": [round(float(share), 5) for share in grid.fractions], "low": grid.low, "high": grid.high}


def _images(
    analysis: Analysis,
    panels: Sequence[Panel],
    names: Sequence[Key],
    side: int,
    hidden: Sequence[Removed],
    records: pd.DataFrame,
    grids: Mapping[str, Grid],
) -> list[Json]:
    sources = thumbnails([panel.image for panel in panels], PICTURES, IMAGES)
    places = {name: place for place, name in enumerate(names)}
    scores, curves = _scores(analysis, panels, places), _curves(records, places, grids)
    whys = _whys(analysis, panels)
    models = analysis.run.info.get("models", {})
    entries = models if isinstance(models, Mapping) else {}
    return [
        {
            "id": panel.sample,
            "data": panel.data,
            "size": [panel.image.shape[1], panel.image.shape[0]],
            "source": source,
            "region": None if panel.region is None or not panel.region.any() else outline(panel.region),
            "maps": [_map(panel, name, side, whys.get((panel.data, panel.sample, *name), "")) for name in names],
            "hidden": [_hidden(removed, panel, names, entries) for removed in hidden],
            "scores": scores.get((panel.data, panel.sample), {}),
            "curves": curves.get((panel.data, panel.sample), {}),
        }
        for panel, source in zip(panels, sources, strict=True)
    ]


def _whys(analysis: Analysis, panels: Sequence[Panel]) -> dict[tuple[str, ...], str]:
    """(data, sample, model, explainer) -> why its scores are undefined, and with them its map where it lacks."""
    rows = _mine(analysis.run.scores, panels)
    rows = rows[rows["score"].isna()]
    columns = ["data", "sample", "model", "explainer"]
    return {tuple(map(str, row[:4])): str(row[4]) for row in rows[[*columns, "reason"]].itertuples(index=False)}


def _map(panel: Panel, name: Key, side: int, why: str) -> Json:
    """A reduced map with its description, or why there is none to be seen."""
    relevance = panel.maps.get(name)
    if relevance is None:
        return {"why": why or "the run keeps none", "none": True}
    if not np.isfinite(relevance).all():
        return {"why": "not finite"}
    if relevance.min() == relevance.max():
        return {"why": f"constant, {relevance.flat[0]:.3g} everywhere: it orders nothing"}
    region = panel.region if panel.region is not None and panel.region.shape == relevance.shape else None
    small = reduced(np.ascontiguousarray(relevance, np.float32), side)
    height, width = small.levels.shape
    return {
        "size": [width, height],
        "levels": encoded(small.levels),
        "knots": encoded(small.knots),
        "range": [float(f"{small.low:.4g}"), float(f"{small.high:.4g}")],
        "words": described(relevance, region),
    }


def _hidden(removed: Removed, panel: Panel, names: Sequence[Key], models: Mapping[str, Any]) -> Json:
    """Model -> what a removed pixel shows, once for all models where it is the same; see `substrate`."""
    found = {
        model: substrate(removed, panel.image, models.get(model, {})) for model in dict.fromkeys(m for m, _ in names)
    }
    values = list(found.values())
    return {"": values[0]} if all(value == values[0] for value in values) else found


def _mine(frame: pd.DataFrame, panels: Sequence[Panel]) -> pd.DataFrame:
    """The rows of images of these names, in any data, without those of metrics that need no maps."""
    names = [panel.sample for panel in panels]
    return frame[frame["sample"].isin(names) & (frame["explainer"] != "none")]


def _scores(analysis: Analysis, panels: Sequence[Panel], places: Mapping[Key, int]) -> dict[Key, dict[int, Any]]:
    """(data, sample) -> place of the map -> [[metric, score as text], ...]."""
    found: dict[Key, dict[int, Any]] = {}
    columns = ["data", "sample", "model", "explainer", "metric", "score", "reason"]
    for data, sample, *name, metric, score, reason in _mine(analysis.of_maps, panels)[columns].itertuples(index=False):
        place = places.get((name[0], name[1]))
        if place is not None:
            said = f"undefined: {reason}" if not math.isfinite(score) else f"{score:.3g}"
            found.setdefault((data, sample), {}).setdefault(place, []).append([metric, said])
    return found


def _records(analysis: Analysis, panels: Sequence[Panel]) -> pd.DataFrame:
    """Points of the curves of these images; records of set metrics are no curves."""
    metrics = [name for name in unique(analysis.run.scores["metric"]) if analysis.card(name)["scope"] == "image"]
    return _mine(analysis.run.points(metrics), panels).dropna(subset="value")


def _grids(records: pd.DataFrame) -> dict[str, Grid]:
    """One grid per metric: its own fractions where they are few, else equal steps between its ends."""
    found = {}
    most = POINTS if len(records[CURVE].drop_duplicates()) <= MANY else FEW_POINTS
    for metric, points in records.groupby("metric", sort=False, observed=True):
        fractions = np.unique(points["fraction"].to_numpy(np.float64))
        if len(fractions) > most:
            fractions = np.linspace(fractions[0], fractions[-1], most)
        if len(fractions) > 1:
            found[str(metric)] = Grid(fractions, float(points["value"].min()), float(points["value"].max()))
    return found


def _curves(records: pd.DataFrame, places: Mapping[Key, int], grids: Mapping[str, Grid]) -> dict[Key, dict[int, Any]]:
    """(data, sample) -> place of the map -> metric -> curve; straight between its points, as for its area."""
    found: dict[Key, dict[int, Any]] = {}
    for (data, sample, model, explainer, metric), points in _cells(records):
        place = places.get((model, explainer))
        if place is not None and metric in grids and len(points) > 1:
            ordered = points.sort_values("fraction")
            curve = _whole_numbers(ordered["fraction"].to_numpy(), ordered["value"].to_numpy(), grids[metric])
            found.setdefault((data, sample), {}).setdefault(place, {})[metric] = curve
    return found


def _cells(records: pd.DataFrame) -> Iterator[tuple[Any, pd.DataFrame]]:
    return iter(records.groupby(CURVE, sort=False, observed=True))


def _whole_numbers(fractions: NDArray[Any], values: NDArray[Any], grid: Grid) -> str:
    """Little-endian numbers of 16 bits, 0 = low, 65535 = high."""
    read = np.interp(grid.fractions, fractions.astype(np.float64), values.astype(np.float64))
    return encoded(np.round(65535 * (read - grid.low) / ((grid.high - grid.low) or 1.0)).astype("<u2"))
