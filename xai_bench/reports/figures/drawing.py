"""What all figures share: how one is declared, put together from panels, and turned into bytes."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from xai_bench.errors import RunError, UnknownNameError
from xai_bench.reports.analysis import Analysis, unique
from xai_bench.reports.figures.labels import labels
from xai_bench.reports.style import COLUMN, WIDTHS, Look, Width, context, short, stacked

FORMATS = ("pdf", "svg", "png")
MOST = 40  # panels of one figure
_NO_DATE: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
_HEADING, _LINE = 0.2, 0.14  # inches

Plot = Callable[..., Axes]  # (analysis, *, ..., ax=None)


@dataclass(frozen=True)
class Drawing:
    """One kind of figure, as a page shows it. Where a run has nothing to draw, `draw` gives None."""

    name: str  # of the file, and in `Results.figure` and `Results.plot`
    heading: str
    caption: str  # what is what: points, intervals, n, and what is left out where not all fits
    alt: str  # for those who do not see it
    draw: Callable[..., Figure | None]  # (analysis, *, width="page")
    plot: Plot | None = None  # one panel into `ax`
    chooses: tuple[str, ...] = ()  # keywords of `plot`


class Picture(Figure):
    """A figure that shows itself in a notebook, whether or not pyplot is there."""

    def _repr_png_(self) -> bytes:
        return rendered(self, "png", dpi=150)


@dataclass(frozen=True)
class Tile:
    """One panel of a figure."""

    group: str  # data set; its rows stand under its name
    height: float  # inches
    draw: Callable[[Axes], object]
    shelf: str = ""  # panels of another shelf start another row


def rendered(figure: Figure, form: str, dpi: int = 300) -> bytes:
    """The figure as pdf, svg or png; the same numbers give the same bytes."""
    with context(), BytesIO() as file:
        if figure.get_layout_engine() is not None:  # laid out once, not once per format
            figure.draw_without_rendering()
            figure.set_layout_engine(None)  # "none" would draw twice, for a layout that may have changed
        figure.savefig(file, format=form, dpi=dpi, metadata=_NO_DATE[form])
        return file.getvalue()


def assembled(
    tiles: Sequence[Tile],
    *,
    width: Width,
    across: tuple[int, int],
    handles: Mapping[str, Line2D] | None = None,
    note: str = "",
    share: bool = False,
) -> Figure | None:
    """Panels in rows, data set by data set, above a legend and a note; None where there are no panels.

    `across`: panels side by side on a page and in a column. `share`: the panels of a row have one y axis. Of more than
    `MOST` panels the first are drawn, and the note says so.
    """
    if not tiles:
        return None
    notes = [note, f"{MOST} of {len(tiles)} panels, the first of the run; tables hold all." * (len(tiles) > MOST)]
    rows = _rows(tiles[:MOST], across[width == "column"])
    firsts = [not i or row[0].group != rows[i - 1][0].group for i, row in enumerate(rows)]
    heights = [max(t.height for t in row) + _HEADING * first for row, first in zip(rows, firsts, strict=True)]
    foot = Foot(handles or {}, " ".join(filter(None, notes)), width)
    with context():
        figure = Picture(figsize=(WIDTHS[width], sum(heights) + foot.height), layout="constrained")
        parts = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
        for part, row, first in zip(parts, rows, firsts, strict=True):
            if first:
                part.suptitle(short(row[0].group, 40 if width == "column" else 90), x=0.01, ha="left", weight="bold")
            axes = part.subplots(1, max(map(len, rows)), squeeze=False, sharey=share)[0]
            for ax, tile in zip(axes, row, strict=False):
                tile.draw(ax)
            for ax in axes[len(row) :]:
                ax.set_axis_off()
        foot.draw(figure)
    return figure


def _rows(tiles: Sequence[Tile], across: int) -> list[list[Tile]]:
    grouped = [list(part) for _, part in groupby(tiles, key=lambda tile: (tile.group, tile.shelf))]
    return [part[start : start + across] for part in grouped for start in range(0, len(part), across)]


@dataclass(frozen=True)
class Foot:
    """The legend under a figure, with a note."""

    handles: Mapping[str, Line2D]
    note: str
    width: Width

    @property
    def names(self) -> list[str]:
        """As they are read: in two lines before anything is cut."""
        return list(labels(self.handles, 40, lines=2).values())

    @property
    def columns(self) -> int:
        """As many as the longest name lets fit."""
        longest = max((len(line) for name in self.names for line in name.split("\n")), default=1)
        return max(1, min(len(self.handles), int(WIDTHS[self.width] / (0.055 * longest + 0.55))))

    @property
    def height(self) -> float:
        """Inches."""
        said = max(2, self.words.count("\n") + 1) if self.note else 0
        entry = max((name.count("\n") + 1 for name in self.names), default=1)
        return _LINE * (-(-len(self.handles) // self.columns) * entry + said) + 0.1

    @property
    def words(self) -> str:
        """The note in lines."""
        return folded(self.note, 70 if self.width == "column" else 150)

    def draw(self, figure: Figure) -> None:
        if not self.handles and not self.note:
            return
        figure.legend(
            list(self.handles.values()),
            self.names,
            loc="outside lower center",
            ncols=self.columns,
            handlelength=2.6,
            title=self.words or None,
        )


def lines(styles: Mapping[str, Look], names: Mapping[str, str]) -> dict[str, Line2D]:
    """Legend entries: how each of `names` (name -> as it is read) looks."""
    return {words: Line2D([], [], **styles[name]) for name, words in names.items()}


@contextmanager
def canvas(ax: Axes | None, height: float) -> Iterator[Axes]:
    """`ax` with its reader's own settings, or the axes of a new figure, a column wide and `height` inches high."""
    if ax is not None:
        with rc_context({"text.parse_math": False}):  # names are text, dollar signs too
            yield ax
        return
    with context():
        yield Picture(figsize=(COLUMN, height), layout="constrained").subplots()


def picked(table: pd.DataFrame, subject: str, wanted: Mapping[str, str | None]) -> dict[str, str]:
    """A value for each column of `wanted`: the one asked for, or the first there is with those before it.

    RunError where the table is empty; UnknownNameError where it lacks the value.
    """
    if table.empty:
        raise RunError(f"the run holds no {subject}, so there is nothing to plot")
    found: dict[str, str] = {}
    for column, value in wanted.items():
        known = unique(table[column])
        if value is not None and value not in known:
            raise UnknownNameError.of(f"{column} with {subject}", value, known)
        found[column] = known[0] if value is None else value
        table = table[table[column] == found[column]]
    return found


def at(table: pd.DataFrame, **place: str) -> pd.DataFrame:
    """The rows at a place, such as `at(table, data="voc", metric="deletion")`."""
    for column, value in place.items():
        table = table[table[column] == value]
    return table


def axis_title(ax: Axes, analysis: Analysis, metric: str, *above: str, most: int = 28) -> None:
    """The metric with its arrow, under what it was measured on."""
    said = [*(short(line, most) for line in above), stacked(analysis.arrow(metric), most)]
    ax.set_title("\n".join(said), loc="left", fontsize="small" if above else None)


def parameters(analysis: Analysis, metrics: Iterable[str]) -> str:
    """`Metrics: accuracy(removal=blur).`: those that stand in the panels without their parameters."""
    cut = [metric for metric in dict.fromkeys(metrics) if analysis.label(metric) != metric]
    return f"Metrics: {', '.join(cut)}." if cut else ""


def ticks(most: int) -> MaxNLocator:
    """Round numbers a reader can halve, at most `most` steps."""
    return MaxNLocator(most, steps=[1, 2, 2.5, 5, 10])


def folded(text: str, width: int) -> str:
    """Text in lines of at most `width` characters; parameters may break after a comma."""
    folded: list[str] = []
    for word in re.sub(r",(?=\w)", ", ", text).split():
        if folded and len(folded[-1]) + len(word) < width:
            folded[-1] += f" {word}"
        else:
            folded.append(word)
    return "\n".join(folded)
