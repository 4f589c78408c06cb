"""Figures ready for a paper: curves with bands, means with intervals, and what was explained."""

import math
from io import BytesIO
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xai_bench.reports.analysis import WIDE, Analysis, Block, unique
from xai_bench.reports.style import PAGE, Look, context, looks, short

FORMATS = ("pdf", "svg", "png")
_NO_DATE: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}


def rendered(figure: Figure, form: str, dpi: int = 300) -> bytes:
    """The figure as pdf, svg or png; the same numbers give the same bytes."""
    with context(), BytesIO() as file:
        if figure.get_layout_engine() is not None:  # laid out once, not once per format
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
        figure.savefig(file, format=form, dpi=dpi, metadata=_NO_DATE[form])
        return file.getvalue()


def curves(analysis: Analysis) -> Figure | None:
    """Output as pixels are removed or inserted: mean over images and 95 % band, one panel per model and metric.

    None where the run has no curves.
    """
    bands = analysis.bands
    if bands.empty:
        return None
    explainers = analysis.floor_last(unique(bands["explainer"]))
    styles, rows = looks(explainers, _controls(analysis)), _panel_rows(bands)
    with context():
        figure = Figure(figsize=(PAGE, 2 * len(rows) + 0.4), layout="constrained")
        width = max(len(cells) for cells in rows)
        for part, cells in zip(figure.subfigures(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
            axes = part.subplots(1, width, squeeze=False, sharey=True)[0]
            part.suptitle(cells[0][0], x=0.01, ha="left", fontweight="bold")
            for ax, (data, model, metric) in zip(axes, cells, strict=False):
                here = (bands["data"] == data) & (bands["model"] == model) & (bands["metric"] == metric)
                curve_panel(ax, bands[here], styles)
                ax.set_title(f"{short(model, 22)}\n{short(analysis.arrow(metric), 22)}", loc="left", fontsize=7)
                ax.set_xlabel(_fraction(analysis, metric))
            axes[0].set_ylabel("model output")
            for ax in axes[len(cells) :]:
                ax.set_axis_off()
        handles = [Line2D([], [], **styles[name]) for name in explainers]
        names = [short(analysis.marked(name), 40) for name in explainers]
        figure.legend(handles, names, loc="outside lower center", ncols=min(4, len(names)), handlelength=3)
    return figure


def _panel_rows(bands: pd.DataFrame) -> list[list[tuple[str, str, str]]]:
    """(data, model, metric) of each panel: a data set starts a row, and so does a fifth panel."""
    cells = bands[["data", "model", "metric"]].drop_duplicates()
    rows = []
    for _, part in cells.groupby("data", sort=False, observed=True):
        panels = [(str(data), str(model), str(metric)) for data, model, metric in part.itertuples(index=False)]
        rows += [panels[start : start + WIDE] for start in range(0, len(panels), WIDE)]
    return rows


def curve_panel(ax: Axes, bands: pd.DataFrame, styles: dict[str, Look]) -> None:
    """A line with its band per explainer; `bands` as `stats.curve_bands` gives them, of one model and metric."""
    for explainer, line in bands.groupby("explainer", sort=False, observed=True):
        look = styles[str(explainer)]
        ax.fill_between(line["fraction"], line["low"], line["high"], color=look["color"], alpha=0.2, linewidth=0)
        ax.plot(line["fraction"], line["mean"], **look)
    ax.margins(x=0)


def forest(analysis: Analysis) -> Figure:
    """Every mean with its 95 % interval: a panel per data set and metric, a row per model and explainer."""
    blocks = list(analysis.blocks())
    firsts = [not i or block.data != blocks[i - 1].data for i, block in enumerate(blocks)]
    heights = [0.17 * len(block.rows) + 0.5 + 0.2 * first for block, first in zip(blocks, firsts, strict=True)]
    with context():
        figure = Figure(figsize=(PAGE, sum(heights)), layout="constrained")
        parts = figure.subfigures(len(blocks), 1, squeeze=False, height_ratios=heights)[:, 0]
        for part, block, first in zip(parts, blocks, firsts, strict=True):
            axes = part.subplots(1, len(block.metrics), squeeze=False, sharey=True)[0]
            for ax, metric in zip(axes, block.metrics, strict=True):
                forest_panel(ax, analysis, block, metric)
            if first:
                part.suptitle(block.data, x=0.01, ha="left", fontweight="bold")
    return figure


def forest_panel(ax: Axes, analysis: Analysis, block: Block, metric: str) -> None:
    """The means of one metric; controls are open grey circles, models are set apart by a line."""
    cells = analysis.summary[(analysis.summary["data"] == block.data) & (analysis.summary["metric"] == metric)]
    found = {(row["model"], row["explainer"]): row for _, row in cells.iterrows()}
    for y, place in enumerate(block.rows):
        if place in found:
            _whisker(ax, y, found[place], control=analysis.kind(place[1]) == "control")
        if y and place[0] != block.rows[y - 1][0] and place[1] != "none":
            ax.axhline(y - 0.5, color="#CCCCCC", linewidth=0.5)
    ax.set_yticks(range(len(block.rows)), [_place(analysis, *place) for place in block.rows])
    ax.set_ylim(len(block.rows) - 0.5, -0.5)
    ax.set_title(short(analysis.arrow(metric), 28), loc="left")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="#E5E5E5", linewidth=0.5)
    ax.set_axisbelow(True)


def _whisker(ax: Axes, y: int, row: "pd.Series[Any]", *, control: bool) -> None:
    colour = "#777777" if control else "#0072B2"
    if math.isnan(row["mean"]):
        ax.text(0.5, y, "undefined", transform=ax.get_yaxis_transform(), ha="center", va="center", fontsize=6)
        return
    if not math.isnan(row["low"]):
        ax.hlines(y, row["low"], row["high"], color=colour, linewidth=1)
    ax.plot(row["mean"], y, "o", color=colour, markersize=3.5, markerfacecolor="white" if control else colour)


def _place(analysis: Analysis, model: str, explainer: str) -> str:
    return short(model, 24) if explainer == "none" else f"{short(model, 20)} · {short(analysis.marked(explainer), 24)}"


def _fraction(analysis: Analysis, metric: str) -> str:
    name = analysis.card(metric)["name"]
    return {"deletion": "fraction removed", "insertion": "fraction inserted"}.get(name, "fraction")


def _controls(analysis: Analysis) -> frozenset[str]:
    return frozenset(name for name in unique(analysis.summary["explainer"]) if analysis.kind(name) == "control")
