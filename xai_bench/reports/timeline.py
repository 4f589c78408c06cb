"""A metric over time: a panel per data set and model, a line per explainer, a point per reference."""

import math
from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xai_bench.grammar import ARROWS
from xai_bench.references.history import History, short_commit
from xai_bench.reports.analysis import unique
from xai_bench.reports.figures.drawing import Tile, assembled, lines
from xai_bench.reports.style import CONTROL, MARKERS, WIDTHS, Look, looks, short, stacked

LINES = 12  # of one metric; more cannot be told apart
MARKED = 30  # references: of more, bands stand for bars, and points have no mark
NAMED = 11  # references with a name below them, in a panel as wide as a page
WORDS = 5  # breaks with a word
HIGH = 2.3  # inches
APART = 0.055  # inches between the points of one reference


def figure(history: History) -> Figure | None:
    """The history of one metric; None where nothing is defined."""
    table = _with_lines(history.table)
    known = table[table["mean"].notna()]
    if known.empty:
        return None
    names = unique(known["line"])
    controls = frozenset(name for name in names if history.kinds.get(name) in ("control", "ceiling"))
    drawn = [*(name for name in names if name not in controls), *(name for name in names if name in controls)][:LINES]
    marks = MARKERS if len(history.references) <= MARKED else ("",)
    styles = {
        name: look | {"marker": marks[i % len(marks)]} for i, (name, look) in enumerate(looks(drawn, controls).items())
    }
    panels = [
        (str(data), part)
        for (data, _), part in table[table["line"].isin(drawn)].groupby(["data", "panel"], sort=False)
        if part["mean"].notna().any()
    ]
    across = (1, 1) if len(panels) == 1 or len(history.references) > MARKED else (2, 1)
    tiles = [
        Tile(data, HIGH, partial(_panel, history=history, table=part, styles=styles, named=NAMED // across[0]))
        for data, part in panels
    ]
    note = f"{len(drawn)} of {len(names)} lines; tables hold all." if len(drawn) < len(names) else ""
    handles = lines({name: look | {"markersize": 3} for name, look in styles.items()}, {name: name for name in drawn})
    return assembled(tiles, width="page", across=across, handles=handles, note=note)


def _with_lines(table: pd.DataFrame) -> pd.DataFrame:
    """`line`: the explainer, or the model where the metric needs no map; `panel`: what shares its axes."""
    mapless = table["explainer"] == "none"
    return table.assign(
        line=table["explainer"].where(~mapless, table["model"]), panel=table["model"].where(~mapless, "")
    )


def _panel(ax: Axes, *, history: History, table: pd.DataFrame, styles: Mapping[str, Look], named: int) -> None:
    count = len(history.references)
    here = [name for name in styles if name in set(table["line"])]
    wide = WIDTHS["page"] * named / NAMED
    apart = 0.0 if count > MARKED else min(APART * count / wide, 0.5 / len(here))  # beside each other, of one date
    for place, name in enumerate(here):
        _line(ax, table[table["line"] == name], count, apart * (place - (len(here) - 1) / 2), styles[name])
    _breaks(ax, table)
    ax.set_xlim(0.4, count + 0.6)
    step = math.ceil(count / named)
    shown = range((count - 1) % step + 1, count + 1, step)  # evenly spaced, the last always
    ax.set_xticks(shown, [_name(history, number) for number in shown])
    ax.tick_params(axis="x", labelsize=5.5, length=2)
    ax.grid(axis="y")
    arrow = ARROWS.get(str(table["better"].iloc[-1]), "")
    title = f"{stacked(str(table['metric'].iloc[-1]), 40)} {arrow}".rstrip()
    model = str(table["panel"].iloc[-1])
    ax.set_title(f"{short(model, 40)}\n{title}" if model else title, loc="left")


def _line(ax: Axes, rows: pd.DataFrame, count: int, aside: float, look: Look) -> None:
    """A line with its intervals; it stops where a reference lacks the score, and at a break."""
    part = (rows["broken"] != "").cumsum()
    for _, piece in rows.groupby(part, sort=False):
        whole = piece.set_index("number").reindex(range(int(piece["number"].min()), int(piece["number"].max()) + 1))
        x = whole.index.to_numpy(np.float64) + aside
        mean, low, high = (whole[name].to_numpy(np.float64) for name in ("mean", "low", "high"))
        low, high = np.where(np.isnan(low), mean, low), np.where(np.isnan(high), mean, high)
        if count > MARKED:
            ax.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
            there = np.isfinite(np.pad(mean, 1, constant_values=np.nan))
            lone = there[1:-1] & ~there[:-2] & ~there[2:]  # no line leads there
            ax.plot(x[lone], mean[lone], ".", color=look["color"], markersize=2)
            ax.plot(x, mean, **look | {"linewidth": 1})
        else:
            ax.vlines(x, low, high, color=look["color"], linewidth=0.8, alpha=0.7)
            ax.plot(x, mean, **look, markersize=3)


def _breaks(ax: Axes, table: pd.DataFrame) -> None:
    """A line before each reference whose scores cannot be compared with the earlier ones, with a word where few."""
    broken = table[table["broken"] != ""].groupby("number", sort=True)["broken"].first()
    for number, why in broken.items():
        ax.axvline(float(str(number)) - 0.5, color=CONTROL, linewidth=0.8, linestyle=(0, (4, 2)))
        if len(broken) <= WORDS:
            ax.annotate(
                short(str(why).partition(" (was")[0], 24),
                (float(str(number)) - 0.5, 1),
                (2, -2),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                fontsize=6,
                color=CONTROL,
                va="top",
                rotation=90,
            )


def _name(history: History, number: int) -> str:
    """The date over its time and the commit, or the file's name where there is neither."""
    place = history.references.iloc[number - 1]
    date = history.dates[number].replace(" ", "\n")
    said = "\n".join(filter(None, (date, short_commit(str(place["commit"]), 7))))
    return said or short(str(place["file"]), 14)
