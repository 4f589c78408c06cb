"""Do metrics, or models, put the explainers into the same order? Kendall's tau as a heat map."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xai_bench.errors import RunError
from xai_bench.reports.analysis import Analysis
from xai_bench.reports.figures.drawing import Picture, canvas
from xai_bench.reports.figures.labels import labels
from xai_bench.reports.style import DIVERGING, WIDTHS, Width, context

MOST = 30  # names on a side
NUMBERED = 12  # names up to which every cell says its number
_CELL = 0.3  # inches


def metric_agreement(analysis: Analysis, *, width: Width = "page") -> Figure | None:
    """Tau between every two metrics, mean over data and models; None where fewer than two rank explainers."""
    return _figure(_labelled(analysis), width, "metrics")


def plot_metric_agreement(analysis: Analysis, *, ax: Axes | None = None) -> Axes:
    """Tau between every two metrics."""
    return _single(_labelled(analysis), ax, "metrics")


def model_agreement(analysis: Analysis, *, width: Width = "page") -> Figure | None:
    """Tau between every two models, mean over data and metrics; None where there is one model."""
    return _figure(analysis.model_taus, width, "models")


def plot_model_agreement(analysis: Analysis, *, ax: Axes | None = None) -> Axes:
    """Tau between every two models."""
    return _single(analysis.model_taus, ax, "models")


def _labelled(analysis: Analysis) -> pd.DataFrame:
    """Metrics as the tables name them."""
    return analysis.taus.rename(index=analysis.label, columns=analysis.label)


def _figure(table: pd.DataFrame, width: Width, what: str) -> Figure | None:
    if not _stated(table):
        return None
    with context():
        figure = Picture(figsize=(WIDTHS[width], _height(table)), layout="compressed")
        _panel(figure.subplots(), table)
        if len(table) > MOST:
            figure.supxlabel(f"{MOST} of {len(table)} {what}, the first of the run", fontsize="x-small")
    return figure


def _single(table: pd.DataFrame, ax: Axes | None, what: str) -> Axes:
    if not _stated(table):
        raise RunError(f"agreement needs two {what} with an order of at least two explainers; the run has none")
    with canvas(ax, _height(table)) as here:
        _panel(here, table)
    return here


def _stated(table: pd.DataFrame) -> bool:
    """Whether any two different names were compared."""
    off = table.to_numpy(np.float64)[~np.eye(len(table), dtype=bool)]
    return bool(np.isfinite(off).any())


def _height(table: pd.DataFrame) -> float:
    return max(1.6, min(_CELL * min(len(table), MOST), 4.6)) + 1.0


def _panel(ax: Axes, table: pd.DataFrame) -> None:
    values = table.to_numpy(np.float64)[:MOST, :MOST]
    names = list(labels(map(str, table.index[:MOST]), 24).values())
    ax.set_facecolor("#D0D0D0")  # what is undefined is no agreement of 0
    image = ax.imshow(values, cmap=DIVERGING, vmin=-1, vmax=1)
    size = "x-small" if len(names) > NUMBERED else "small"
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
    ax.set_yticks(range(len(names)), names, fontsize=size)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if len(names) <= NUMBERED:
        for (y, x), value in np.ndenumerate(values):
            words, dark = f"{value:.2f}" if np.isfinite(value) else "-", abs(value) > 0.6
            ax.text(x, y, words, ha="center", va="center", fontsize="x-small", color="white" if dark else "black")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, pad=0.02)
    bar.set_label("Kendall's tau", fontsize="small")
    bar.outline.set_visible(False)
