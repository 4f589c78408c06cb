"""Two things at once: where a map points against how faithful it is, and what quality costs."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from xai_bench.reports.analysis import Analysis, unique
from xai_bench.reports.figures import selection
from xai_bench.reports.figures.drawing import Tile, assembled, at, canvas, picked
from xai_bench.reports.style import COLOURS, MARKERS, RULE, Look, Width

FAITHFULNESS, LOCALISATION = "faithfulness", "localisation"
_HIGH = 2.5  # inches
_CELL = ["data", "model", "explainer"]


def trade_off(analysis: Analysis, *, width: Width = "page") -> Figure | None:
    """Localisation against faithfulness: a panel per faithfulness metric, against the run's first of localisation."""
    pairs = _pairs(analysis)
    tiles = [
        Tile(str(data), _HIGH, partial(_points, analysis=analysis, table=part))
        for (data, *_), part in pairs.groupby(["data", "metric", "localisation"], sort=False, observed=True)
    ]
    return assembled(tiles, width=width, across=(3, 1), handles=_legend(analysis, pairs), note=_note(analysis, pairs))


def plot_trade_off(
    analysis: Analysis,
    *,
    data: str | None = None,
    metric: str | None = None,
    localisation: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """One faithfulness metric against one of localisation, a point with both intervals per explainer and model."""
    whole = _pairs(analysis, every=True)
    wanted = {"data": data, "metric": metric, "localisation": localisation}
    place = picked(whole, "a faithfulness and a localisation score of the same maps", wanted)
    table = at(whole, **place)
    with canvas(ax, _HIGH + 0.5) as here:
        _points(here, analysis=analysis, table=table)
        _own_legend(here, _legend(analysis, table))
    return here


def cost(analysis: Analysis, *, width: Width = "page") -> Figure | None:
    """Seconds per map against each metric's mean, the Pareto front as a line; None where the run kept no times."""
    table = _costs(analysis)
    tiles = [
        Tile(str(data), _HIGH, partial(_cost, analysis=analysis, table=part))
        for (data, _), part in table.groupby(["data", "metric"], sort=False, observed=True)
    ]
    return assembled(tiles, width=width, across=(3, 1), handles=_legend(analysis, table), note=_note(analysis, table))


def plot_cost(
    analysis: Analysis, *, data: str | None = None, metric: str | None = None, ax: Axes | None = None
) -> Axes:
    """Seconds per map against the mean of one metric; what lies on the line is beaten by nothing that costs less."""
    whole = _costs(analysis)
    table = at(whole, **picked(whole, "seconds per map", {"data": data, "metric": metric}))
    with canvas(ax, _HIGH + 0.5) as here:
        _cost(here, analysis=analysis, table=table)
        _own_legend(here, _legend(analysis, table))
    return here


def front(costs: NDArray[np.float64], gains: NDArray[np.float64]) -> list[int]:
    """Which points no other beats in both, cheapest first; of equal points the first."""
    order = np.lexsort((-gains, costs))
    best, found = -np.inf, []
    for i in order:
        if gains[i] > best:
            best = gains[i]
            found.append(int(i))
    return found


def _scored(analysis: Analysis, *families: str) -> pd.DataFrame:
    """Means of maps under metrics of a family that have a direction, of the models and explainers that are shown."""
    summary = analysis.summary
    metrics = [name for name in unique(summary["metric"]) if analysis.card(name).get("family") in families]
    kept = (
        summary["metric"].isin(metrics) & (summary["explainer"] != "none") & summary["better"].isin(["higher", "lower"])
    )
    kept &= summary["explainer"].isin(selection.explainers(analysis)) & summary["mean"].notna()
    return summary[kept & summary["model"].isin(_models(analysis))]


def _models(analysis: Analysis) -> tuple[str, ...]:
    return selection.models(analysis)[: len(MARKERS)]


def _pairs(analysis: Analysis, *, every: bool = False) -> pd.DataFrame:
    """A row per cell of a faithfulness metric, with the same maps' localisation as x_mean, x_low, x_high, x_better."""
    faithful, located = _scored(analysis, FAITHFULNESS), _scored(analysis, LOCALISATION)
    if not every:
        located = located[located["metric"].isin(unique(located["metric"])[:1])]
    columns = {"metric": "localisation"} | {name: f"x_{name}" for name in ("mean", "low", "high", "better")}
    return faithful.merge(located[[*_CELL, *columns]].rename(columns=columns), on=_CELL)


def _costs(analysis: Analysis) -> pd.DataFrame:
    """A row per cell of a faithfulness or localisation metric with its seconds per map, where they were kept."""
    seconds = analysis.costs[["model", "explainer", "seconds"]]
    return _scored(analysis, FAITHFULNESS, LOCALISATION).merge(
        seconds[seconds["seconds"] > 0], on=["model", "explainer"]
    )


def _points(ax: Axes, *, analysis: Analysis, table: pd.DataFrame) -> None:
    points = _Points(analysis)
    for _, row in table.iterrows():
        colour = points.looks[row["explainer"]]["color"]
        ax.hlines(row["mean"], row["x_low"], row["x_high"], color=colour, linewidth=0.8)
        ax.vlines(row["x_mean"], row["low"], row["high"], color=colour, linewidth=0.8)
        points.draw(ax, row, row["x_mean"])
    metric, localisation = str(table["metric"].iloc[0]), str(table["localisation"].iloc[0])
    ax.set_xlabel(analysis.arrow(localisation))
    ax.set_ylabel(analysis.arrow(metric))
    ax.xaxis.set_inverted(table["x_better"].iloc[0] == "lower")
    ax.yaxis.set_inverted(table["better"].iloc[0] == "lower")


def _cost(ax: Axes, *, analysis: Analysis, table: pd.DataFrame) -> None:
    points, better = _Points(analysis), str(table["better"].iloc[0])
    seconds, means = table["seconds"].to_numpy(np.float64), table["mean"].to_numpy(np.float64)
    rivals = np.array([analysis.kind(name) != "ceiling" for name in table["explainer"]])
    seconds, means = seconds[rivals], means[rivals]
    best = front(seconds, means if better == "higher" else -means)
    ax.plot(seconds[best], means[best], color=RULE, linewidth=2, drawstyle="steps-post", zorder=0)
    for _, row in table.iterrows():
        ax.vlines(row["seconds"], row["low"], row["high"], color=points.looks[row["explainer"]]["color"], linewidth=0.8)
        points.draw(ax, row, row["seconds"])
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")  # no mathematics in labels
    ax.xaxis.set_minor_formatter(lambda _value, _: "")
    ax.set_xlabel("seconds per map")
    ax.set_ylabel(analysis.arrow(str(table["metric"].iloc[0])))
    ax.yaxis.set_inverted(better == "lower")


class _Points:
    """How points look: colours say explainers (those past the first six have a black edge), markers say models.

    Controls are open.
    """

    def __init__(self, analysis: Analysis) -> None:
        self.looks, self.controls = selection.styles(analysis), selection.controls(analysis)
        self.markers = dict(zip(_models(analysis), MARKERS, strict=False))
        rivals = [name for name in self.looks if name not in self.controls]
        self.edged = frozenset(rivals[len(COLOURS) :])

    def look(self, explainer: str) -> Look:
        colour = self.looks[explainer]["color"]
        face = "white" if explainer in self.controls else colour
        edge = "black" if explainer in self.edged else colour
        return {"color": colour, "markersize": 4.5, "markerfacecolor": face, "markeredgecolor": edge}

    def draw(self, ax: Axes, row: "pd.Series[Any]", x: float) -> None:
        ax.plot(x, row["mean"], self.markers[row["model"]], **self.look(row["explainer"]))


def _legend(analysis: Analysis, table: pd.DataFrame) -> dict[str, Line2D]:
    """Colours say explainers, markers say models; controls are open."""
    points = _Points(analysis)
    shown = [name for name in points.looks if name in set(table["explainer"])]
    handles = {
        analysis.marked(name): Line2D([], [], marker="o", linestyle="none", **points.look(name)) for name in shown
    }
    models = [name for name in _models(analysis) if name in set(table["model"])]
    if len(models) > 1:
        for name in models:
            marker = MARKERS[_models(analysis).index(name)]
            handles[f"model {name}"] = Line2D([], [], color="black", marker=marker, markersize=4.5, linestyle="none")
    return handles


def _own_legend(ax: Axes, handles: Mapping[str, Line2D]) -> None:
    ax.legend(list(handles.values()), list(handles), loc="upper left", bbox_to_anchor=(0, -0.2), ncols=2)


def _note(analysis: Analysis, table: pd.DataFrame) -> str:
    summary = analysis.summary[analysis.summary["explainer"] != "none"]
    notes = [
        selection.left_out(len(shown), summary[column].nunique(), f"{column}s")
        for column, shown in (("explainer", selection.explainers(analysis)), ("model", _models(analysis)))
    ]
    return " ".join(filter(None, notes)) if len(table) else ""
