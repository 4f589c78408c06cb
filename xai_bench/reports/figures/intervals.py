"""Means, differences and probabilities with their intervals, a row per model and explainer."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xai_bench.reports.analysis import Analysis, unique
from xai_bench.reports.figures import selection
from xai_bench.reports.figures.drawing import Tile, assembled, at, axis_title, canvas, parameters, picked, ticks
from xai_bench.reports.figures.labels import labels
from xai_bench.reports.figures.selection import Place
from xai_bench.reports.style import BETTER, CONTROL, RULE, WORSE, Width, short

_ROW, _FRAME = 0.17, 0.5  # inches
AGAINST = ("random", "best")

Row = "pd.Series[Any]"


def forest(analysis: Analysis, *, width: Width = "page") -> Figure | None:
    """Every mean with its 95 % interval: a panel per data set and metric, a row per model and explainer."""
    cells = analysis.summary
    return _figure(analysis, cells, partial(_means, analysis), width)


def plot_forest(
    analysis: Analysis, *, data: str | None = None, metric: str | None = None, ax: Axes | None = None
) -> Axes:
    """The means of one metric with their 95 % intervals; controls are open grey circles."""
    place = picked(analysis.summary, "scores", {"data": data, "metric": metric})
    return _single(analysis, at(analysis.summary, **place), place["metric"], partial(_means, analysis), ax)


def differences(analysis: Analysis, *, against: str = "random", width: Width = "page") -> Figure | None:
    """Every paired difference from the control `random`, or from the best of the model, with its 95 % interval."""
    table = differences_from(analysis, against)
    return _figure(analysis, table, partial(_differences, against), width) if len(table) else None


def plot_differences(
    analysis: Analysis,
    *,
    data: str | None = None,
    metric: str | None = None,
    against: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Paired differences of one metric from `against`: "random", or "best" where the run has no such control."""
    tables = {name: differences_from(analysis, name) for name in AGAINST}
    whole = pd.concat([table.assign(against=name) for name, table in tables.items() if len(table)] or [tables["best"]])
    place = picked(whole, "paired differences", {"against": against, "data": data, "metric": metric})
    return _single(analysis, at(whole, **place), place["metric"], partial(_differences, place["against"]), ax)


def differences_from(analysis: Analysis, against: str) -> pd.DataFrame:
    """Paired differences minus the reference of their model: data, metric, model, explainer, mean, low, high, verdict.

    verdict: "better" or "worse" where the corrected test and the interval say so, else "". Rows of the reference
    itself are left out.
    """
    both = [analysis.explainers.assign(across="explainer"), at(analysis.models, fixed="none").assign(across="model")]
    table = pd.concat([part for part in both if len(part)] or both)
    references = _reference(analysis, against)
    reference = [references.get(key) for key in _keys(table)]
    first, second = table["a"] == reference, table["b"] == reference
    table, first = table[first | second], first[first | second]
    name, sign = table["a"].where(~first, table["b"]), 1 - 2 * first.astype(int)
    winner = table["a"].where(table["better"] == "a", table["b"])
    verdict = (winner == name).map({True: "better", False: "worse"}).where(table["better"] != "", "")
    within = table["across"] == "explainer"
    low, high = table["low"].where(~first, -table["high"]), table["high"].where(~first, -table["low"])
    facts = {"mean": sign * table["difference"], "low": low, "high": high, "verdict": verdict}
    named = {"model": table["fixed"].where(within, name), "explainer": name.where(within, "none")}
    better = table["metric"].map({metric: analysis.card(metric)["better"] for metric in unique(table["metric"])})
    return table[["data", "metric", "n"]].assign(**named, **facts, better=better)


def _keys(table: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    return zip(*(table[column].astype(str) for column in ("across", "data", "metric", "fixed")), strict=True)


def _reference(analysis: Analysis, against: str) -> dict[tuple[str, ...], str]:
    """(across, data, metric, fixed) -> the name to compare with."""
    cells = analysis.summary[analysis.summary["better"].isin(["higher", "lower"])].dropna(subset="mean")
    if against == "random":
        labels = [label for label, facts in analysis.run.explainers.items() if facts.get("name") == "random"]
        cells = cells[cells["explainer"].isin(labels[:1])]
    else:
        cells = cells[cells["explainer"].map(analysis.kind) != "ceiling"]  # told, so no rival
    mapless = cells["explainer"] == "none"
    signed = cells["mean"].where(cells["better"] == "higher", -cells["mean"])
    ordered = cells.assign(
        across=mapless.map({True: "model", False: "explainer"}),
        fixed=cells["model"].where(~mapless, "none"),
        name=cells["explainer"].where(~mapless, cells["model"]),
    ).loc[signed.sort_values(kind="stable").index]
    return dict(zip(_keys(ordered), ordered["name"].astype(str), strict=True))  # the last, the best, stays


def improvement(analysis: Analysis, *, width: Width = "page") -> Figure | None:
    """Probability that each explainer beats the control `random` (else the best), a panel per data set and metric."""
    table = _improvement(analysis, None)
    return _figure(analysis, table, _chances, width, analysis.of_means) if len(table) else None


def plot_improvement(
    analysis: Analysis,
    *,
    data: str | None = None,
    metric: str | None = None,
    against: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Probability that each explainer beats `against`, an explainer, on an image drawn at random; 0.5 is no better."""
    if against is not None:
        picked(analysis.improvement.assign(against=analysis.improvement["b"]), "comparisons", {"against": against})
    table = _improvement(analysis, against)
    place = picked(table, "probabilities of improvement", {"data": data, "metric": metric})
    return _single(analysis, at(table, **place), place["metric"], _chances, ax)


def _improvement(analysis: Analysis, against: str | None) -> pd.DataFrame:
    """Columns of a panel's rows: data, metric, model (""), explainer, mean, low, high, reference."""
    table = analysis.improvement.dropna(subset=["probability"])
    back = table.assign(a=table["b"], b=table["a"], low=1 - table["high"], high=1 - table["low"])
    back["probability"] = 1 - table["probability"]
    whole = pd.concat([table, back]).drop_duplicates(["data", "metric", "a", "b"]) if len(table) else table
    known = unique(whole["b"])
    labels = [label for label, facts in analysis.run.explainers.items() if facts.get("name") == "random"]
    best = [name for name in selection.explainers(analysis) if name in known]
    reference = against or next((label for label in labels if label in known), best[0] if best else "")
    kept = whole[(whole["b"] == reference) & whole["a"].isin(selection.explainers(analysis))]
    renamed = kept.rename(columns={"a": "explainer", "b": "reference", "probability": "mean"})
    return renamed.assign(model="", better="higher")


Panel = Callable[[Axes, pd.DataFrame, Sequence[Place]], None]


def _figure(analysis: Analysis, cells: pd.DataFrame, panel: Panel, width: Width, said: str = "") -> Figure | None:
    tiles, shown, there = [], 0, 0
    for _, group in cells.groupby("data", sort=False, observed=True):
        mapless = group["explainer"] == "none"
        for shelf, part in (("models", group[mapless]), ("maps", group[~mapless])):
            places = _places(analysis, part)
            rows = selection.rows(analysis, part, places)
            shown, there = max(shown, len(rows)), max(there, len(places))
            parts = dict(list(part.groupby("metric", sort=False, observed=True)))
            tiles += [_tile(analysis, parts[metric], shelf, rows, panel) for metric in parts]
    metrics = parameters(analysis, unique(cells["metric"]))
    note = selection.noted(selection.left_out(shown, there, "rows"), said, metrics)
    return assembled(tiles, width=width, across=(4, 2), share=True, note=note)


def _tile(analysis: Analysis, cells: pd.DataFrame, shelf: str, rows: Sequence[Place], panel: Panel) -> Tile:
    data, metric = str(cells["data"].iloc[0]), str(cells["metric"].iloc[0])
    height = _ROW * len(rows) + _FRAME
    return Tile(data, height, lambda ax: _panel(ax, analysis, cells, metric, rows, panel), shelf)


def _single(analysis: Analysis, cells: pd.DataFrame, metric: str, panel: Panel, ax: Axes | None) -> Axes:
    rows = selection.rows(analysis, cells, _places(analysis, cells))
    with canvas(ax, _ROW * len(rows) + _FRAME + 0.2) as here:
        _panel(here, analysis, cells, metric, rows, panel)
    return here


def _places(analysis: Analysis, cells: pd.DataFrame) -> tuple[Place, ...]:
    """(model, explainer) of the rows: models in their order, and within each the controls last."""
    pairs = cells[["model", "explainer"]].drop_duplicates()
    models = {name: i for i, name in enumerate(unique(pairs["model"]))}
    order = {name: i for i, name in enumerate(analysis.floor_last(unique(pairs["explainer"])))}
    found = [(str(model), str(explainer)) for model, explainer in pairs.itertuples(index=False)]
    return tuple(sorted(found, key=lambda pair: (models[pair[0]], order[pair[1]])))


def _panel(ax: Axes, analysis: Analysis, cells: pd.DataFrame, metric: str, rows: Sequence[Place], panel: Panel) -> None:
    """A row per place; models are set apart by a line."""
    panel(ax, cells, rows)
    for y, (model, explainer) in enumerate(rows):
        if y and model != rows[y - 1][0] and explainer != "none":
            ax.axhline(y - 0.5, color=RULE, linewidth=0.5)
    ax.set_yticks(range(len(rows)), _named(analysis, rows))
    ax.set_ylim(len(rows) - 0.5, -0.5)
    axis_title(ax, analysis, metric)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(ticks(4))
    ax.grid(axis="x")


def _means(analysis: Analysis, ax: Axes, cells: pd.DataFrame, rows: Sequence[Place]) -> None:
    for y, row in _found(cells, rows):
        control = analysis.kind(row["explainer"]) in selection.REFERENCES
        _whisker(ax, y, row, CONTROL if control else BETTER, filled=not control)


def _differences(against: str, ax: Axes, cells: pd.DataFrame, rows: Sequence[Place]) -> None:
    ax.axvline(0, color=CONTROL, linewidth=0.8)
    colours = {"better": BETTER, "worse": WORSE}
    for y, row in _found(cells, rows):
        _whisker(ax, y, row, colours.get(row["verdict"], CONTROL), filled=bool(row["verdict"]))
    better = {"higher": "better →", "lower": "← better"}.get(cells["better"].iloc[0], "")
    ax.set_xlabel(f"minus {against}   {better}", fontsize="x-small")


def _chances(ax: Axes, cells: pd.DataFrame, rows: Sequence[Place]) -> None:
    ax.axvline(0.5, color=CONTROL, linewidth=0.8)
    for y, row in _found(cells, rows):
        colour = BETTER if row["low"] > 0.5 else WORSE if row["high"] < 0.5 else CONTROL
        _whisker(ax, y, row, colour, filled=colour != CONTROL)
    ax.set_xlim(-0.02, 1.02)
    ax.set_xlabel(f"P(better than {short(str(cells['reference'].iloc[0]), 16)})", fontsize="x-small")


def _found(cells: pd.DataFrame, rows: Sequence[Place]) -> Iterator[tuple[int, Any]]:
    """(y, row) of the cells that have a row."""
    heights = {place: y for y, place in enumerate(rows)}
    kept = [pair in heights for pair in zip(cells["model"], cells["explainer"], strict=True)]
    for _, row in cells.iloc[np.flatnonzero(kept)].iterrows():
        yield heights[row["model"], row["explainer"]], row


def _whisker(ax: Axes, y: int, row: Any, colour: str, *, filled: bool) -> None:
    if math.isnan(row["mean"]):
        ax.text(0.5, y, "undefined", transform=ax.get_yaxis_transform(), ha="center", va="center", fontsize="x-small")
        return
    if not math.isnan(row["low"]):
        ax.hlines(y, row["low"], row["high"], color=colour, linewidth=1)
    ax.plot(row["mean"], y, "o", color=colour, markersize=3.5, markerfacecolor=colour if filled else "white")


def _named(analysis: Analysis, rows: Sequence[Place]) -> list[str]:
    """A row's model and explainer; its model alone where there is no map, its explainer where it is of all models."""
    said = labels((analysis.marked(explainer) for _, explainer in rows), 24 if any(model for model, _ in rows) else 28)
    models = labels((model for model, _ in rows), 20)
    whole = labels((model for model, _ in rows), 24)
    return [
        whole[model]
        if explainer == "none"
        else " · ".join(filter(None, (models[model], said[analysis.marked(explainer)])))
        for model, explainer in rows
    ]
