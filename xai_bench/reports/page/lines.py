"""Mean curves as numbers that the page's script draws, with the look they have in the figures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from xai_bench.reports.analysis import Analysis, unique
from xai_bench.reports.style import looks

MOST = 600  # curves on one page
POINTS = 33  # of each
DASHES: Mapping[Any, list[float]] = {"-": [], "--": [6.0, 3.0], "-.": [6.0, 3.0, 1.5, 3.0], ":": [1.5, 2.0]}
Json = dict[str, Any]


def styles(analysis: Analysis) -> dict[str, Json]:
    """Colour and dash of each explainer, those of the figures; explainers without curves come after."""
    drawn = analysis.floor_last(name for name in unique(analysis.bands["explainer"]) if name != "none")
    others = analysis.floor_last(
        name for name in unique(analysis.run.scores["explainer"]) if name not in (*drawn, "none")
    )
    names = (*drawn, *others)
    return _looks(names, frozenset(name for name in names if analysis.kind(name) == "control"))


def lines(analysis: Analysis) -> Json | None:
    """Groups of charts (data x metric), each line with its band; None without curves.

    A chart per model with a line per explainer; a line per model in one chart where a metric needs no maps.
    """
    bands = analysis.bands
    if bands.empty:
        return None
    explainers, models = styles(analysis), _looks(unique(bands["model"]), frozenset())
    cells = list(bands.groupby(["data", "metric", "model", "explainer"], sort=False, observed=True))
    groups: dict[tuple[str, str], dict[str, list[Json]]] = {}
    cells.sort(key=lambda cell: cell[0][3] == "none")  # explainers first; models, where no maps are needed, after them
    for (data, metric, model, explainer), points in cells[:MOST]:
        charts = groups.setdefault((str(data), str(metric)), {})
        mapless = explainer == "none"
        name, known = (str(model), models) if mapless else (str(explainer), explainers)
        charts.setdefault("models" if mapless else str(model), []).append(_line(name, known[name], _thinned(points)))
    return {
        "groups": [
            {
                "data": data,
                "metric": analysis.arrow(metric),
                "axis": axis(analysis, metric),
                "controls": any(_control(analysis, line) for found in charts.values() for line in found),
                "charts": [{"title": title, "lines": _in_order(explainers, found)} for title, found in charts.items()],
            }
            for (data, metric), charts in groups.items()
        ],
        "left_out": _left_out(len(cells)),
    }


def _control(analysis: Analysis, line: Json) -> bool:
    return analysis.kind(line["name"]) == "control"


def _left_out(count: int) -> str:
    return f"The first {MOST} of {count} curves are drawn; all are in tables/curves.csv." if count > MOST else ""


def _looks(names: tuple[str, ...], controls: frozenset[str]) -> dict[str, Json]:
    drawn = looks(names, controls)
    return {name: {"colour": look["color"], "dash": _dash(look["linestyle"])} for name, look in drawn.items()}


def axis(analysis: Analysis, metric: str) -> str:
    """What the fraction of a metric's curve counts."""
    name = analysis.card(metric)["name"]
    return {"insertion": "share of pixels shown"}.get(name, "share removed")


def _in_order(explainers: Mapping[str, Json], found: list[Json]) -> list[Json]:
    order = {name: place for place, name in enumerate(explainers)}
    return sorted(found, key=lambda line: order.get(line["name"], 0))


def _line(name: str, style: Json, points: pd.DataFrame) -> Json:
    numbers = {key: _rounded(points[key]) for key in ("fraction", "mean", "low", "high")}
    return {"name": name, "style": style, **numbers}


def _rounded(values: "pd.Series[Any]") -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def _thinned(points: pd.DataFrame) -> pd.DataFrame:
    """Both ends and equal steps between, where there are many."""
    if len(points) <= POINTS:
        return points
    return points.iloc[np.linspace(0, len(points) - 1, POINTS).round().astype(int)]


def _dash(style: Any) -> list[float]:
    return DASHES[style] if isinstance(style, str) else [1.5 * part for part in style[1]]
