"""Figures of the ERSM study, from tables alone: sweeps, deletions, keep histograms, occlusions and example images."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from xai_bench.reports.figures import curve_panel, map_panel
from xai_bench.reports.style import PAGE, Look, context, looks

CONTROLS = frozenset({"random", "head", "plain"})


class Panel(NamedTuple):
    """One image with what its models made of it."""

    group: str  # "improvement", "failure: focused" ...
    title: str
    image: NDArray[np.float32]  # (H, W, 3)
    maps: Mapping[str, NDArray[np.float32]]  # name -> (H, W)
    region: NDArray[np.bool_] | None


def sweep_figure(table: pd.DataFrame, measures: Mapping[str, str], chance: Mapping[str, float]) -> Figure:
    """Measures against the energy's weight, a row per recipe, a line per start; every training is a dot.

    `table` has recipe, start, weight, seed and a column for each of `measures` (column -> axis label); `chance` is
    what a mask that knows nothing would show.
    """
    recipes, starts = list(table["recipe"].unique()), list(table["start"].unique())
    styles = looks(tuple(starts), frozenset())
    with context():
        figure = Figure(figsize=(PAGE, 1.75 * len(recipes) + 0.5), layout="constrained")
        grid = figure.subplots(len(recipes), len(measures), squeeze=False, sharex=True, sharey="col")
        for axes, recipe in zip(grid, recipes, strict=True):
            for ax, (column, words) in zip(axes, measures.items(), strict=True):
                _sweep_panel(ax, table[table["recipe"] == recipe], column, styles)
                if column in chance:
                    ax.axhline(chance[column], color="#777777", linewidth=0.6, linestyle=":")
                ax.set_title(words if recipe == recipes[0] else "", fontsize=7)
            axes[0].set_ylabel(f"{recipe} recipe")
        for ax in grid[-1]:
            ax.set_xlabel("lambda = gamma")
        _legend(figure, styles, starts)
    return figure


def _sweep_panel(ax: Axes, table: pd.DataFrame, column: str, styles: Mapping[str, Look]) -> None:
    weights = sorted(table["weight"].unique())
    for start, line in table.groupby("start", sort=False, observed=True):
        look = styles[str(start)]
        mean = line.groupby("weight")[column].mean()
        ax.plot([weights.index(weight) for weight in mean.index], mean, **look)
        ax.plot([weights.index(w) for w in line["weight"]], line[column], ".", color=look["color"], markersize=2.5)
    ax.set_xticks(range(len(weights)), [f"{weight:g}" for weight in weights], fontsize=6, rotation=60)


def curves_figure(bands: pd.DataFrame, lines: Sequence[str], x: str, y: str) -> Figure:
    """Means with 95 % bands: a row for each `row`, a panel for each `column`, a line for each `explainer`.

    `bands` has row, column, explainer, fraction, mean, low and high.
    """
    rows, columns = list(bands["row"].unique()), list(bands["column"].unique())
    controls = frozenset(name for name in lines if name.split(",")[0] in CONTROLS)
    styles = looks(tuple(lines), controls)
    with context():
        figure = Figure(figsize=(PAGE, 1.9 * len(rows) + 0.5), layout="constrained")
        grid = figure.subplots(len(rows), len(columns), squeeze=False, sharey="row", sharex=True)
        for axes, row in zip(grid, rows, strict=True):
            for ax, column in zip(axes, columns, strict=True):
                here = bands[(bands["row"] == row) & (bands["column"] == column)]
                curve_panel(ax, here, styles)
                ax.set_title(f"{row}, {column}", loc="left", fontsize=7)
            axes[0].set_ylabel(y)
        for ax in grid[-1]:
            ax.set_xlabel(x)
        _legend(figure, styles, lines)
    return figure


def histogram_figure(table: pd.DataFrame) -> Figure:
    """Shares of tokens by keep probability, mean over trainings; `table` has model, seed, bin and share."""
    models, bins = list(table["model"].unique()), int(table["bin"].max()) + 1
    styles = looks(tuple(models), frozenset())
    with context():
        figure = Figure(figsize=(PAGE * 0.7, 2.4), layout="constrained")
        ax = figure.subplots()
        edges = np.linspace(0, 1, bins + 1)
        for model, part in table.groupby("model", sort=False, observed=True):
            share = part.groupby("bin")["share"].mean().to_numpy(np.float64)
            ax.stairs(share, edges, color=styles[str(model)]["color"], linestyle=styles[str(model)]["linestyle"])
        ax.set_yscale("log")
        ax.set_ylim(1e-5, 1.0)
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")  # no mathematics in labels
        ax.yaxis.set_minor_formatter(lambda _value, _: "")
        ax.set_xlabel("keep probability of a token, bins of 0.02")
        ax.set_ylabel("share of tokens")
        _legend(figure, styles, models)
    return figure


def panels_figure(panels: Sequence[Panel]) -> Figure:
    """Images beside their maps, the object outlined; each map is scaled from its lowest to its highest value."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.maps))
    cell = min(PAGE / (len(names) + 1), 1.25)
    with context():
        figure = Figure(
            figsize=(cell * (len(names) + 1) + 1.2, (cell + 0.22) * len(panels) + 0.3), layout="constrained"
        )
        grid = figure.subplots(len(panels), len(names) + 1, squeeze=False)
        for (first, *axes), panel in zip(grid, panels, strict=True):
            _image(first, panel)
            for ax, name in zip(axes, names, strict=True):
                map_panel(ax, panel.maps.get(name), panel.region, signed=False)
        for ax, name in zip(grid[0], ("", *names), strict=True):
            ax.set_title(name, fontsize=6)
        for (first, *_), panel in zip(grid, panels, strict=True):
            first.set_title(panel.title, fontsize=5.5, loc="left")
    return figure


def _image(ax: Axes, panel: Panel) -> None:
    ax.imshow(panel.image, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.set_ylabel(panel.group.replace(": ", ":\n"), fontsize=6)


def _legend(figure: Figure, styles: Mapping[str, Look], names: Sequence[str]) -> None:
    handles: list[Any] = [Line2D([], [], **styles[name]) for name in names]
    figure.legend(handles, list(names), loc="outside lower center", ncols=min(4, len(names)), handlelength=3)


__all__ = ["Panel", "curves_figure", "histogram_figure", "panels_figure", "sweep_figure"]
