"""Figures of the CAMAL study, from tables alone: what each loss changes, the sweep of the weight, example images."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from xai_bench.reports.figures import map_panel
from xai_bench.reports.style import PAGE, context, looks

REACH = 3.0  # a relative gain beyond it is cut off


class Shown(NamedTuple):
    """One image with the attention of each model."""

    title: str
    image: NDArray[np.float32]  # (H, W, 3)
    region: NDArray[np.bool_]
    maps: Mapping[str, NDArray[np.float32]]  # model -> (H, W)


def gains_figure(table: pd.DataFrame, metrics: Sequence[str], column: str, words: str) -> Figure:
    """What each model changes against the control, mean and 95 % interval: a row per split, a panel per metric.

    `table` has split, metric, model, and `column` with its low and high (`gain`: low, high; else `column low` ...).
    """
    splits, models = list(table["split"].unique()), list(table["model"].unique())
    low, high = ("low", "high") if column == "gain" else (f"{column} low", f"{column} high")
    with context():
        figure = Figure(figsize=(PAGE, (0.15 * len(models) + 0.55) * len(splits) + 0.2), layout="constrained")
        grid = figure.subplots(len(splits), len(metrics), squeeze=False, sharey=True)
        for axes, split in zip(grid, splits, strict=True):
            for ax, metric in zip(axes, metrics, strict=True):
                here = table[(table["split"] == split) & (table["metric"] == metric)].set_index("model").loc[models]
                _whiskers(ax, here[[column, low, high]].to_numpy(np.float64), models)
                ax.set_title(metric.replace("_", " "), fontsize=6.5)
            axes[0].set_ylabel(split)
        figure.supxlabel(words, fontsize=7)
    return figure


def _whiskers(ax: Axes, numbers: NDArray[np.float64], models: Sequence[str]) -> None:
    ax.axvline(0, color="#777777", linewidth=0.6)
    for y, (mean, low, high) in enumerate(numbers.clip(-REACH, REACH)):
        colour = "#777777" if low <= 0 <= high or np.isnan(low) else "#0072B2" if mean > 0 else "#D55E00"
        ax.hlines(y, low, high, color=colour, linewidth=1)
        ax.plot(mean, y, "o", color=colour, markersize=3)
    ax.set_yticks(range(len(models)), models, fontsize=6)
    ax.set_ylim(len(models) - 0.5, -0.5)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.tick_params(axis="x", labelsize=5.5)
    ax.grid(axis="x", color="#E5E5E5", linewidth=0.5)
    ax.set_axisbelow(True)


def weights_figure(table: pd.DataFrame, columns: Sequence[str]) -> Figure:
    """Each column against the weight of the term, a line per split through the means, a dot per training."""
    weights, splits = sorted(table["weight"].unique()), list(table["split"].unique())
    styles = looks(tuple(splits), frozenset())
    with context():
        figure = Figure(figsize=(PAGE, 1.9), layout="constrained")
        for ax, column in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True):
            for split, part in table.groupby("split", sort=False, observed=True):
                look, mean = styles[str(split)], part.groupby("weight")[column].mean()
                ax.plot(range(len(weights)), mean.loc[weights], label=str(split), **look)
                places = [weights.index(weight) for weight in part["weight"]]
                ax.plot(places, part[column], ".", color=look["color"], markersize=2.5)
            ax.set_xticks(range(len(weights)), [f"{weight:g}" for weight in weights], fontsize=5.5)
            ax.set_title(column.replace("_", " "), fontsize=7)
        figure.supxlabel("λ, the weight of the term (0: the control)", fontsize=7)
        handles, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=len(splits), handlelength=3)
    return figure


def panels_figure(panels: Sequence[Shown]) -> Figure:
    """Images beside the attention of each model, the object outlined; each map from its lowest to its highest value."""
    names = list(panels[0].maps)
    cell = PAGE / (len(names) + 1)
    with context():
        figure = Figure(figsize=(PAGE, (cell + 0.05) * len(panels) + 0.35), layout="constrained")
        grid = figure.subplots(len(panels), len(names) + 1, squeeze=False)
        for (first, *axes), panel in zip(grid, panels, strict=True):
            first.imshow(panel.image, interpolation="nearest")
            first.set_xticks([])
            first.set_yticks([])
            first.spines[:].set_visible(False)
            first.set_ylabel(panel.title, fontsize=5.5)
            for ax, name in zip(axes, names, strict=True):
                map_panel(ax, panel.maps[name], panel.region, signed=False)
        for ax, name in zip(grid[0], ("image", *names), strict=True):
            ax.set_title(name.replace(", ", ",\n"), fontsize=5.5)
    return figure
