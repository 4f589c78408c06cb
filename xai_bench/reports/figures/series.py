"""Lines with 95 % bands: curves of removal, the model itself under removal, and performance profiles."""

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xai_bench.reports.analysis import Analysis, unique
from xai_bench.reports.figures import selection
from xai_bench.reports.figures.drawing import Tile, assembled, at, axis_title, canvas, lines, parameters, picked, ticks
from xai_bench.reports.style import Look, Width, looks

REMOVAL = "removal"  # family of the metrics that ask about the model rather than a map
_HIGH = 1.9  # inches


def curves(analysis: Analysis, *, width: Width = "page") -> Figure | None:
    """Output as pixels are removed or inserted: mean over images and 95 % band, one panel per model and metric.

    None where the run has no curves.
    """
    bands, styles = _of_maps(analysis), selection.styles(analysis)
    tiles = [
        Tile(str(data), _HIGH, partial(_curves, analysis=analysis, bands=part, styles=styles))
        for (data, _, _), part in bands.groupby(["data", "model", "metric"], sort=False, observed=True)
    ]
    drawn = [name for name in styles if name in set(bands["explainer"])]
    names = {name: analysis.marked(name) for name in drawn}
    there = {*unique(analysis.bands.loc[~_removal(analysis), "explainer"])} - {"none"}
    note = _note(analysis, bands, selection.left_out(len(drawn), max(len(there), len(drawn)), "explainers"))
    return assembled(tiles, width=width, across=(4, 2), handles=lines(styles, names), note=note, share=True)


def plot_curves(
    analysis: Analysis,
    *,
    data: str | None = None,
    model: str | None = None,
    metric: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The mean curves of one model and metric, a line with its 95 % band per explainer."""
    bands = _of_maps(analysis)
    place = picked(bands, "curves", {"data": data, "model": model, "metric": metric})
    with canvas(ax, 2.4) as here:
        _curves(here, analysis=analysis, bands=at(bands, **place), styles=selection.styles(analysis))
        here.set_ylabel("model output")
        here.legend()
    return here


def occlusion(analysis: Analysis, *, width: Width = "page") -> Figure | None:
    """What the model still does as more is hidden: a panel per removal metric and order, a line per model."""
    bands = _of_models(analysis)
    styles = looks(tuple(name for name in selection.models(analysis) if name in set(bands["model"])), frozenset())
    tiles = [
        Tile(str(data), _HIGH, partial(_occlusion, analysis=analysis, bands=part, styles=styles))
        for (data, _, _), part in bands.groupby(["data", "metric", "explainer"], sort=False, observed=True)
    ]
    there = max(len(styles), analysis.bands["model"].nunique())
    note = _note(analysis, bands, selection.left_out(len(styles), there, "models"))
    handles = lines(styles, {name: name for name in styles})
    return assembled(tiles, width=width, across=(3, 2), handles=handles, note=note)


def plot_occlusion(
    analysis: Analysis,
    *,
    data: str | None = None,
    metric: str | None = None,
    explainer: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The curves of one removal metric, a line per model; `explainer`: whose order, "none" for a random one."""
    bands = _of_models(analysis)
    place = picked(bands, "removal curves", {"data": data, "metric": metric, "explainer": explainer})
    styles = looks(selection.models(analysis), frozenset())
    with canvas(ax, 2.4) as here:
        _occlusion(here, analysis=analysis, bands=at(bands, **place), styles=styles)
        here.legend()
    return here


def profiles(analysis: Analysis, *, width: Width = "page") -> Figure | None:
    """Share of images x models better than each threshold: a panel per data set and metric, a line per explainer."""
    table, styles = _shown(analysis.profiles, "explainer", selection.explainers(analysis)), selection.styles(analysis)
    tiles = [
        Tile(str(data), _HIGH, partial(_profiles, analysis=analysis, table=part, styles=styles))
        for (data, _), part in table.groupby(["data", "metric"], sort=False, observed=True)
    ]
    drawn = {name: analysis.marked(name) for name in styles if name in set(table["explainer"])}
    there = analysis.profiles["explainer"].nunique()
    note = _note(analysis, table, selection.left_out(len(drawn), there, "explainers"), analysis.of_means)
    return assembled(tiles, width=width, across=(4, 2), handles=lines(styles, drawn), note=note, share=True)


def plot_profiles(
    analysis: Analysis, *, data: str | None = None, metric: str | None = None, ax: Axes | None = None
) -> Axes:
    """Share of images x models whose score is better than each threshold, a line with its band per explainer."""
    table = _shown(analysis.profiles, "explainer", selection.explainers(analysis))
    place = picked(table, "performance profiles", {"data": data, "metric": metric})
    with canvas(ax, 2.4) as here:
        _profiles(here, analysis=analysis, table=at(table, **place), styles=selection.styles(analysis))
        here.set_ylabel("share of scores that are better")
        here.legend()
    return here


def curve_panel(ax: Axes, bands: pd.DataFrame, styles: Mapping[str, Look], by: str = "explainer") -> None:
    """A line with its band per explainer; `bands` as `stats.curve_bands` gives them, of one model and metric."""
    for name, line in bands.groupby(by, sort=False, observed=True):
        look = styles[str(name)]
        ax.fill_between(line["fraction"], line["low"], line["high"], color=look["color"], alpha=0.2, linewidth=0)
        ax.plot(line["fraction"], line["mean"], label=str(name), **look)
    ax.margins(x=0)
    ax.xaxis.set_major_locator(ticks(3))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")  # "0" and "1" leave neighbours room


def _curves(ax: Axes, *, analysis: Analysis, bands: pd.DataFrame, styles: Mapping[str, Look]) -> None:
    model, metric = (str(bands[column].iloc[0]) for column in ("model", "metric"))
    curve_panel(ax, bands, styles)
    axis_title(ax, analysis, metric, model, most=22)
    ax.set_xlabel(f"{_fraction(analysis, metric)}\n{_count(bands)}", fontsize="small")
    if ax.get_subplotspec() is not None and ax.get_subplotspec().is_first_col():  # type: ignore[union-attr]
        ax.set_ylabel("model output")


def _occlusion(ax: Axes, *, analysis: Analysis, bands: pd.DataFrame, styles: Mapping[str, Look]) -> None:
    metric, explainer = (str(bands[column].iloc[0]) for column in ("metric", "explainer"))
    curve_panel(ax, bands, styles, "model")
    axis_title(ax, analysis, metric, "random order" if explainer == "none" else f"order of {explainer}", most=30)
    ax.set_xlabel(f"fraction hidden\n{_count(bands)}", fontsize="small")


def _profiles(ax: Axes, *, analysis: Analysis, table: pd.DataFrame, styles: Mapping[str, Look]) -> None:
    renamed = table.rename(columns={"threshold": "fraction", "share": "mean"})
    curve_panel(ax, renamed, styles)
    axis_title(ax, analysis, str(table["metric"].iloc[0]))
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel("score")
    if ax.get_subplotspec() is not None and ax.get_subplotspec().is_first_col():  # type: ignore[union-attr]
        ax.set_ylabel("share better")


def _of_maps(analysis: Analysis) -> pd.DataFrame:
    """Bands of metrics that judge maps."""
    bands = analysis.bands[~_removal(analysis)]
    return _shown(bands, "explainer", (*selection.explainers(analysis), "none"))


def _of_models(analysis: Analysis) -> pd.DataFrame:
    """Bands of metrics that ask what the model does without parts of its image."""
    return _shown(analysis.bands[_removal(analysis)], "model", selection.models(analysis))


def _removal(analysis: Analysis) -> "pd.Series[bool]":
    """Which rows of the bands are of metrics that ask about the model."""
    removal = [metric for metric in unique(analysis.bands["metric"]) if _family(analysis, metric) == REMOVAL]
    return analysis.bands["metric"].isin(removal)


def _note(analysis: Analysis, table: pd.DataFrame, *parts: str) -> str:
    return selection.noted(*parts, parameters(analysis, unique(table["metric"])))


def _family(analysis: Analysis, metric: str) -> str:
    return str(analysis.card(metric).get("family", ""))


def _shown(table: pd.DataFrame, column: str, names: Sequence[str]) -> pd.DataFrame:
    return table[table[column].isin(list(names))]


def _fraction(analysis: Analysis, metric: str) -> str:
    name = analysis.card(metric)["name"]
    return {"deletion": "fraction removed", "insertion": "fraction inserted"}.get(name, "fraction")


def _count(bands: pd.DataFrame) -> str:
    """`n = 200`, or `n = 180 to 200` where images were undefined for some."""
    low, high = int(bands["n"].min()), int(bands["n"].max())
    return f"n = {low}" if low == high else f"n = {low} to {high}"
