"""Critical-difference diagrams (Demšar 2006, "Statistical comparisons of classifiers over multiple data sets")."""

import math
from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xai_bench.reports.analysis import Analysis, unique
from xai_bench.reports.figures import selection
from xai_bench.reports.figures.drawing import Tile, assembled, at, axis_title, canvas, parameters, picked
from xai_bench.reports.figures.labels import labels
from xai_bench.reports.style import COLUMN, CONTROL, WIDTHS, Width

_LINE, _FRAME = 0.14, 0.75  # inches
ALPHA = 0.05
_TICKS = 10
_LETTER = 0.055  # inches of a letter of a name
_NUMBER = 6  # letters of ` 12.34`
_SIDE = 0.42  # of a panel's width for the names on one side
_BESIDE = 18  # letters of a name up to which two panels stand beside each other
_KEYS = ("data", "metric", "fixed")


def ranks(analysis: Analysis, *, width: Width = "page") -> Figure | None:
    """Mean ranks over images with groups that cannot be told apart, a panel per data set, metric and model."""
    table = _table(analysis)
    longest = max((len(analysis.marked(name)) for name in unique(table["name"])), default=0)
    across = 2 if width == "page" and longest <= _BESIDE else 1
    inches = WIDTHS[width] / across - 0.1
    tiles = [
        Tile(str(data), _height(len(part)), partial(_diagram, analysis=analysis, table=part, inches=inches))
        for (data, *_), part in table.groupby(list(_KEYS), sort=False, observed=True)
    ]
    there = analysis.ranks.groupby(list(_KEYS), observed=True)["name"].nunique().max() if len(table) else 0
    shown = table.groupby(list(_KEYS), observed=True)["name"].nunique().max() if len(table) else 0
    left_out = selection.left_out(int(shown), int(there), "explainers")
    note = selection.noted(left_out, analysis.of_means, parameters(analysis, unique(table["metric"])))
    return assembled(tiles, width=width, across=(across, across), note=note)


def plot_ranks(
    analysis: Analysis,
    *,
    data: str | None = None,
    metric: str | None = None,
    model: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The critical-difference diagram of the explainers of one model."""
    table = _table(analysis)
    named = table.rename(columns={"fixed": "model"})
    place = picked(named, "ranks", {"data": data, "metric": metric, "model": model})
    part = at(named, **place).rename(columns={"model": "fixed"})
    with canvas(ax, _height(len(part))) as here:
        size = here.get_window_extent().width / here.figure.dpi if ax is not None else COLUMN - 0.1
        _diagram(here, analysis=analysis, table=part, inches=size)
    return here


def cliques(ranks: Sequence[float], critical_difference: float) -> list[tuple[int, int]]:
    """(first, last) places of the largest groups of sorted mean ranks that differ by less than the critical difference.

    Groups of one are left out.
    """
    found: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = max(i for i, other in enumerate(ranks) if other - rank < critical_difference or i == first)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def _table(analysis: Analysis) -> pd.DataFrame:
    """Ranks that are defined, best first, of the explainers that are shown, with the critical difference of each."""
    test = analysis.friedman[[*_KEYS, "critical_difference", "p", "note"]]
    table = analysis.ranks.merge(test, on=list(_KEYS), how="left").dropna(subset=["rank"])
    table = table[table["name"].isin(selection.explainers(analysis))]
    table = table[table.groupby(list(_KEYS), observed=True)["name"].transform("size") > 1]
    places = {key: place for place, key in enumerate(dict.fromkeys(zip(*(table[k] for k in _KEYS), strict=True)))}
    order = [places[key] for key in zip(*(table[k] for k in _KEYS), strict=True)]
    return table.assign(order=order).sort_values(["order", "rank"], kind="stable")


def _height(names: int) -> float:
    return _LINE * (names + 1) // 2 + _FRAME + _LINE * min(names / 3, 4)


def _diagram(ax: Axes, *, analysis: Analysis, table: pd.DataFrame, inches: float) -> None:
    """Ranks on a line above, best left; a thick bar joins what the test cannot tell apart; names below.

    `inches`: how wide the axes will be, so that the names stand inside of them.
    """
    found, names = table["rank"].to_numpy(float), table["name"].astype(str).tolist()
    reach = float(table["critical_difference"].iloc[0])
    chance = float(table["p"].iloc[0])  # Nemenyi's test follows only where Friedman's found something
    groups = [] if math.isnan(chance) else cliques(found.tolist(), reach if chance < ALPHA else math.inf)
    bars = list(_stacked(found.tolist(), groups))
    below = 1.0 + max((level for _, _, level in bars), default=0)
    for low, high, level in bars:
        ax.plot([low - 0.03, high + 0.03], [level, level], color="black", linewidth=2, solid_capstyle="butt")
    most = int(_SIDE * inches / _LETTER) - _NUMBER
    said = labels(map(analysis.marked, names), most)
    read = [f"{said[analysis.marked(name)]} {rank:.2f}" for name, rank in zip(names, found, strict=True)]
    kinds = [analysis.kind(name) for name in names]
    _names(ax, found.tolist(), read, kinds, below)
    _scale(ax, found.tolist(), reach, str(table["note"].iloc[0]))
    _widen(ax, read, inches)
    ax.set_ylim(below + (len(names) + 1) // 2, -2.2)
    axis_title(
        ax, analysis, str(table["metric"].iloc[0]), f"{table['fixed'].iloc[0]}, n = {table['n'].iloc[0]}", most=40
    )


def _stacked(ranks: Sequence[float], groups: Sequence[tuple[int, int]]) -> Iterator[tuple[float, float, float]]:
    """(low, high, level) of each bar, on the first level where it touches no other."""
    ends: list[float] = []
    for first, last in groups:
        level = next((i for i, end in enumerate(ends) if end < ranks[first] - 0.1), len(ends))
        ends[level : level + 1] = [ranks[last]]
        yield ranks[first], ranks[last], 0.55 * (level + 1)


def _names(ax: Axes, ranks: Sequence[float], labels: Sequence[str], kinds: Sequence[str], below: float) -> None:
    """The better half is named on the left, the other on the right."""
    half, low, high = (len(labels) + 1) // 2, min(ranks), max(ranks)
    for i, (rank, words, kind) in enumerate(zip(ranks, labels, kinds, strict=True)):
        left = i < half
        y = below + (i if left else len(labels) - 1 - i)
        edge = low - 0.1 if left else high + 0.1
        colour = CONTROL if kind in selection.REFERENCES else "black"
        ax.plot([rank, rank, edge], [0, y, y], color=colour, linewidth=0.7)
        ax.annotate(
            words,
            (edge, y),
            (-2 if left else 2, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize="small",
            color=colour,
        )


def _widen(ax: Axes, labels: Sequence[str], inches: float) -> None:
    """Room for the names to either side of what is drawn."""
    half, (low, high) = (len(labels) + 1) // 2, ax.dataLim.intervalx
    left, right = (
        min(_SIDE, _LETTER * max(map(len, side), default=0) / inches) for side in (labels[:half], labels[half:])
    )
    unit = (high - low) / (1 - left - right)
    ax.set_xlim(low - left * unit, high + right * unit)


def _scale(ax: Axes, ranks: Sequence[float], reach: float, note: str) -> None:
    """The line of ranks, and above it the critical difference as a length, or why there is none."""
    ends = [math.floor(min(ranks)), math.ceil(max(ranks))]
    ax.plot(ends, [0, 0], color="black", linewidth=0.8)
    for rank in range(ends[0], ends[1] + 1, math.ceil((ends[1] - ends[0] + 1) / _TICKS)):
        ax.plot([rank, rank], [0, -0.2], color="black", linewidth=0.8)
        ax.text(rank, -0.3, str(rank), ha="center", va="bottom", fontsize="x-small")
    if math.isnan(reach):
        ax.text(ends[0], -1.7, note, ha="left", va="center", fontsize="x-small")
    else:
        ax.plot([ends[0], ends[0] + reach], [-1.7, -1.7], color="black", linewidth=1.2, marker="|", markersize=4)
        ax.annotate(
            f"CD {reach:.2f}" + (f"; {note}" if note else ""),
            (ends[0] + reach, -1.7),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize="x-small",
        )
    ax.set_axis_off()
