"""A forest of what changed between runs: every paired difference with its interval, around zero."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xai_bench.comparison import Compared
from xai_bench.grammar import ARROWS
from xai_bench.reports.analysis import unique
from xai_bench.reports.style import PAGE, context, short
from xai_bench.reports.words.sentences import verdict

PANELS, LINES, ACROSS = 12, 30, 2
LOOKS = {"better": ("#0072B2", "o", "#0072B2"), "worse": ("#D55E00", "s", "#D55E00")}
OTHER = ("#777777", "o", "white")
CAPTION = (
    "Difference to the reference with its 95 % interval, paired by image. Filled blue circle: better, orange square: "
    "worse, by a paired test at 5 %, Holm-corrected; open circle: not told apart."
)

Panel = tuple[str, str, pd.DataFrame]  # data, metric, rows


def forest(compared: Compared) -> Figure | None:
    """A panel per data set and metric, at most 12 of 30 rows; None where no row has an interval."""
    panels = _panels(compared.table)
    if not panels:
        return None
    shelves = [panels[start : start + ACROSS] for start in range(0, len(panels), ACROSS)]
    heights = [0.17 * max(len(rows) for _, _, rows in shelf) + 0.6 for shelf in shelves]
    with context():
        figure = Figure(figsize=(PAGE, sum(heights) + 0.3), layout="constrained")
        parts = figure.subfigures(len(shelves), 1, squeeze=False, height_ratios=heights)[:, 0]
        for part, shelf in zip(parts, shelves, strict=True):
            axes = part.subplots(1, ACROSS, squeeze=False)[0]
            for ax, panel in zip(axes, shelf, strict=False):
                _draw(ax, compared, panel)
            for ax in axes[len(shelf) :]:
                ax.set_axis_off()
        handles = [_mark(*look) for look in (*LOOKS.values(), OTHER)]
        figure.legend(handles, [*LOOKS, "not told apart"], loc="outside lower center", ncols=3)
    return figure


def left_out(compared: Compared) -> str:
    """What of the table the figure has no room for."""
    shown, known = sum(len(rows) for _, _, rows in _panels(compared.table)), int(compared.table["low"].notna().sum())
    return f" {known - shown:,} of {known:,} differences are in the table only." if shown < known else ""


def _panels(table: pd.DataFrame) -> list[Panel]:
    known = table[table["low"].notna()]
    groups = known.groupby(["data", "metric"], sort=False)
    return [(str(data), str(metric), rows.head(LINES)) for (data, metric), rows in groups][:PANELS]


def _draw(ax: Axes, compared: Compared, panel: Panel) -> None:
    data, metric, rows = panel
    ax.axvline(0, color="#444444", linewidth=0.6)
    for y, (_, row) in enumerate(rows.iterrows()):
        colour, marker, fill = LOOKS.get(verdict(row), OTHER)
        ax.hlines(y, row["low"], row["high"], color=colour, linewidth=1)
        ax.plot(row["difference"], y, marker, color=colour, markersize=3.5, markerfacecolor=fill)
    names = [_name(row, _telling(compared)) for _, row in rows.iterrows()]
    ax.set_yticks(range(len(rows)), names)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="#E5E5E5", linewidth=0.5)
    ax.set_axisbelow(True)
    arrow = ARROWS.get(str(rows["direction"].iloc[0]), "")
    where = f" · {short(data, 12)}" if len(unique(compared.table["data"])) > 1 else ""
    ax.set_title(f"{short(metric, 22)} {arrow}".rstrip() + where, loc="left")
    _keep_zero(ax, rows)


def _telling(compared: Compared) -> list[str]:
    """The columns that tell rows of a panel apart: what all rows share needs no room."""
    return [name for name in ("a", "model", "explainer") if len(unique(compared.table[name])) > 1] or ["model"]


def _name(row: "pd.Series[Any]", telling: Sequence[str]) -> str:
    parts = [str(row[name]) for name in telling if row[name] != "none"] or [str(row["model"])]
    return " · ".join(short(part, 36 // len(parts)) for part in parts)


def _keep_zero(ax: Axes, rows: pd.DataFrame) -> None:
    """Zero is always to be seen, and a panel of equal scores has some width."""
    ends = [0.0, *map(float, rows["low"]), *map(float, rows["high"])]
    span = max(ends) - min(ends)
    room = 0.05 * span if span > 0 and math.isfinite(span) else 1.0
    ax.set_xlim(min(ends) - room, max(ends) + room)
    ax.locator_params(axis="x", nbins=5)


def _mark(colour: str, marker: str, fill: str) -> Line2D:
    return Line2D([], [], color=colour, marker=marker, markerfacecolor=fill, markersize=3.5, linewidth=1)


__all__: Sequence[str] = ("CAPTION", "forest", "left_out")
