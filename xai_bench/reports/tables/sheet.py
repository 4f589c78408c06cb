"""A table as it is specified, in no language yet: cells with their marks, rows in groups, columns with their heads."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import pandas as pd

from xai_bench.digits import number
from xai_bench.reports.analysis import WIDE

MOST = 2_000  # rows of a sheet on a page and in files that people read; csv holds all


@dataclass(frozen=True)
class Cell:
    """What stands at one place; every mark is a field, so that each language writes it in its own way."""

    text: str = ""
    bounds: str = ""  # `[0.378, 0.447]`
    top: bool = False  # not worse than the best, by test
    beats: str = ""  # letters of the rows that are significantly worse: `bd`, `b-f`
    aside: tuple[str, ...] = ()  # `3 undefined`, `n = 57`
    sort: float | str = ""  # what to sort by; "" stands last

    @classmethod
    def of(cls, mean: float, low: float, high: float, *, signed: bool = False) -> "Cell":
        """A number with the digits of its interval; empty where there is no number."""
        if math.isnan(mean):
            return cls()
        bounds = "" if math.isnan(low) else f"[{number(low, low, high)}, {number(high, low, high)}]"
        return cls(number(mean, low, high, "+" if signed else ""), bounds, sort=mean)

    @classmethod
    def name(cls, text: str) -> "Cell":
        """Words, sorted as words."""
        return cls(text, sort=text)

    @classmethod
    def count(cls, value: float | int) -> "Cell":
        """A whole number; empty where it is nan."""
        return cls() if math.isnan(value) else cls(f"{round(value)}", sort=float(value))


@dataclass(frozen=True)
class Column:
    """What the cells below are."""

    head: str  # with its arrow: `deletion ↓`
    under: str = ""  # second line of the head: `n = 57`
    notes: tuple[int, ...] = ()  # numbers of the sheet's notes
    spans: bool = False  # on paper its values are headings over their rows
    align: Literal["left", "right", "prose"] = "left"  # counts stand right; prose may break into lines


@dataclass(frozen=True)
class Row:
    """One line; rows of one group are compared with each other."""

    cells: tuple[Cell, ...]
    group: str = ""
    kind: str = ""  # post-hoc, intrinsic, control


@dataclass(frozen=True)
class Grid:
    """Rows under columns, of which the first `stub` say what a row is."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    stub: int
    matrix: bool = False  # columns stand for metrics: as many as there are, a few beside each other on paper

    def __post_init__(self) -> None:
        wrong = next((len(row.cells) for row in self.rows if len(row.cells) != len(self.columns)), None)
        if wrong is not None:
            raise ValueError(f"a row of {wrong} cells under {len(self.columns)} columns")


@dataclass(frozen=True, eq=False)
class Sheet:
    """A table of the report; grids that do not share their columns stand below each other."""

    name: str  # of its files
    heading: str
    caption: str  # what the numbers are, which test, level and correction, what the marks mean
    grids: tuple[Grid, ...]
    notes: tuple[str, ...] = ()  # numbered from 1
    frame: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)  # every digit, for csv


def shortened(sheet: Sheet) -> Sheet:
    """At most the first `MOST` rows of all grids together, which the caption says; the frame stays whole."""
    there = sum(len(grid.rows) for grid in sheet.grids)
    if there <= MOST:
        return sheet
    grids, left = [], MOST
    for grid in sheet.grids:
        grids.append(replace(grid, rows=grid.rows[:left]))
        left -= len(grids[-1].rows)
    said = f"Shown: the first {MOST:,} of {there:,} rows; all are in tables/{sheet.name}.csv."
    return replace(sheet, caption=f"{said} {sheet.caption}", grids=tuple(grid for grid in grids if grid.rows))


def filled(title: str, columns: Sequence[Column], rows: Sequence[Row], stub: int) -> Grid:
    """A grid without columns in which no row says anything; a first column that says one thing joins the title."""
    first = {row.cells[0].text for row in rows}
    if len(first) == 1:
        title = ", ".join(filter(None, (*first, title)))
        columns, stub = columns[1:], stub - 1
        rows = [replace(row, cells=row.cells[1:]) for row in rows]
    kept = [place for place in range(len(columns)) if any(row.cells[place].text for row in rows)]
    narrow = tuple(replace(row, cells=tuple(row.cells[place] for place in kept)) for row in rows)
    return Grid(title, tuple(columns[place] for place in kept), narrow, sum(place < stub for place in kept))


class Part(NamedTuple):
    """Columns that stand beside each other."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def parts(grid: Grid) -> Iterator[Part]:
    """A grid cut to a screen: at most WIDE metrics beside each other. Rows without any cell in a part are left out."""
    stub, rest = tuple(range(grid.stub)), range(grid.stub, len(grid.columns))
    step = WIDE if grid.matrix else max(1, len(rest))
    for start in range(0, max(1, len(rest)), step):
        picked = rest[start : start + step]
        rows = [row for row in grid.rows if not picked or any(row.cells[column].text for column in picked)]
        shown = (*stub, *picked)
        narrow = tuple(replace(row, cells=tuple(row.cells[column] for column in shown)) for row in rows)
        yield Part(grid.title, tuple(grid.columns[column] for column in shown), narrow)


def cited(sheet: Sheet) -> frozenset[int]:
    """Numbers of the notes that a column refers to."""
    return frozenset(number for grid in sheet.grids for column in grid.columns for number in column.notes)
