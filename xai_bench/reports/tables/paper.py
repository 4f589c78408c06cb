"""What fits on a page of paper, told from the letters: columns beside each other, names in lines, rows on a page."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from xai_bench.reports.analysis import WIDE
from xai_bench.reports.tables.sheet import Cell, Column, Grid, Row

# points, in type of 8 points; where the paper's page is narrower, the table is scaled down
WIDTH, GAP = 520.0, 6.0
HEIGHT = 520.0  # of LaTeX's `article`, whose page is the smallest of those that papers are written for
LINE, SPACE, HEAD, REMARK = 9.5, 5.0, 40.0, 8.5  # of a row, between groups, of head and rules, of a line of remarks
CAPTION, LETTERS = 12.5, 66  # of a line of the caption, and letters in it
NAMES = 150.0  # points that names may take beside a matrix of metrics
NARROW = 40.0  # points below which no column of names goes
MANY = 5  # columns beside which prose has no room: it goes below the table


class Page(NamedTuple):
    """One float."""

    title: str
    columns: tuple[Column, ...]  # those that span included
    rows: tuple[Row, ...]
    widths: tuple[float, ...]  # points, per column that does not span; 0: as wide as its cells
    remarks: tuple[str, ...]  # below the table, cited by number
    wide: float  # points, as estimated


def pages(grid: Grid, caption: int) -> Iterator[Page]:
    """A grid cut to pages; `caption`: letters above the first of them. Groups stay whole where they can."""
    used = CAPTION * math.ceil(caption / LETTERS)
    for columns, rows in _beside(grid):
        prose = [place for place, column in enumerate(columns) if column.align == "prose" and len(columns) >= MANY]
        widths = _widths(columns, rows)
        for piece in _pieces(columns, rows, widths, prose, HEIGHT - used - HEAD):
            remarks = tuple(dict.fromkeys(row.cells[place].text for row in piece for place in prose))
            known = [remark for remark in remarks if remark]
            cited = tuple(_cited(row, prose, known) for row in piece)
            wide = sum((cut or _natural(columns, rows, i)) + GAP for i, cut in widths.items())
            yield Page(grid.title, columns, cited, tuple(widths.values()), tuple(known), wide)
            used = 2 * CAPTION


def width(text: str) -> float:
    """Points of a text in Computer Modern of 8 points; a sign that is written as its code takes six letters."""
    return math.fsum(_LETTER.get(sign, 6.2 if sign.isupper() else 4.5 if ord(sign) < _FAR else 28.0) for sign in text)


def cell_width(cell: Cell) -> float:
    """Points of a cell with its marks."""
    marks = "".join((cell.beats, *(f"({aside})"[:6] for aside in cell.aside)))
    bounds = width(f" {cell.bounds}") if cell.bounds else 0.0
    return width(cell.text) * (1.15 if cell.top else 1.0) + 0.8 * width(marks) + 0.94 * bounds


def head_width(column: Column) -> float:
    """Points of the head with its numbers of notes."""
    return width(column.head + "".join(f" [{number}]" for number in column.notes))


def _beside(grid: Grid) -> Iterator[tuple[tuple[Column, ...], list[Row]]]:
    """As many metrics of a matrix beside each other as fit, at most WIDE; rows without any cell there are left out."""
    if not grid.matrix:
        yield grid.columns, list(grid.rows)
        return
    stub, start = range(grid.stub), grid.stub
    names = sum(_natural(grid.columns, grid.rows, i) + GAP for i in stub if not grid.columns[i].spans)
    while start < len(grid.columns):
        stop, left = start, WIDTH - min(names, NAMES)
        while stop < min(start + WIDE, len(grid.columns)):
            left -= _natural(grid.columns, grid.rows, stop) + GAP
            if left < 0 and stop > start:
                break
            stop += 1
        shown = (*stub, *range(start, stop))
        rows = [row for row in grid.rows if any(row.cells[i].text for i in range(start, stop))]
        narrow = [replace(row, cells=tuple(row.cells[i] for i in shown)) for row in rows]
        yield tuple(grid.columns[i] for i in shown), narrow
        start = stop


def _natural(columns: Sequence[Column], rows: Sequence[Row], place: int) -> float:
    """Points of the widest cell; prose that goes below the table leaves a number."""
    if columns[place].align == "prose" and len(columns) >= MANY:
        return head_width(columns[place])
    return max([head_width(columns[place]), *(cell_width(row.cells[place]) for row in rows)])


def _widths(columns: Sequence[Column], rows: Sequence[Row]) -> dict[int, float]:
    """Place of a column that does not span -> its points where its names must break, else 0.

    The widest names give way first, down to what the page has room for.
    """
    natural = {i: _natural(columns, rows, i) for i, column in enumerate(columns) if not column.spans}
    soft = {i for i in natural if columns[i].align != "right" and not any(row.cells[i].bounds for row in rows)}
    room = WIDTH - sum(size for i, size in natural.items() if i not in soft) - GAP * len(natural)
    cap = max(_cap(sorted(natural[i] for i in soft), room), NARROW)
    return {i: cap if i in soft and size > cap else 0.0 for i, size in natural.items()}


def _cap(sizes: Sequence[float], room: float) -> float:
    """The size to which the larger ones must be cut so that all together take the room."""
    for place, size in enumerate(sizes):
        share = room / (len(sizes) - place)
        if size > share:
            return share
        room -= size
    return math.inf


def _pieces(
    columns: Sequence[Column], rows: Sequence[Row], widths: dict[int, float], prose: Sequence[int], first: float
) -> Iterator[list[Row]]:
    """Rows of one page after the other; `first`: points that the first page has for them."""
    page, seen, used, room = list[Row](), set[str](), 0.0, max(first, 4 * LINE)
    for _, members in groupby(rows, key=lambda row: row.group):
        group = list(members)
        heading = SPACE + LINE * lines(", ".join(_titles(columns, group[0])), WIDTH)
        whole = heading + sum(_height(row, widths, prose, seen) for row in group)
        for place, row in enumerate(group):
            size = _height(row, widths, prose, seen) + heading * (not place or not page)
            apart = not place and used + whole > room and whole < HEIGHT - HEAD - 2 * CAPTION
            if page and (apart or used + size > room):
                yield page
                page, seen, used, room = [], set(), 0.0, HEIGHT - HEAD - 2 * CAPTION
                size = _height(row, widths, prose, seen) + heading
            page.append(row)
            seen.update(row.cells[i].text for i in prose)
            used += size
    if page:
        yield page


def _titles(columns: Sequence[Column], row: Row) -> list[str]:
    return [cell.text for column, cell in zip(columns, row.cells, strict=True) if column.spans and cell.text]


def _height(row: Row, widths: dict[int, float], prose: Sequence[int], seen: set[str]) -> float:
    """Points of a row, with those of a remark that its page does not hold yet."""
    broken = [lines(row.cells[i].text, points) for i, points in widths.items() if points]
    remarks = [row.cells[i].text for i in prose if row.cells[i].text not in seen]
    return LINE * max(1, *broken, 1) + REMARK * sum(lines(remark, WIDTH) for remark in remarks)


def lines(text: str, points: float) -> int:
    """Lines that a text takes where each has this many points; a word that is wider breaks anywhere."""
    found, left = 0, 0.0
    for word in text.split():
        size = width(word)
        if size > left:
            found += math.ceil(size / points)
            left = points * math.ceil(size / points)
        left -= size + width(" ")
    return max(found, 1)


def _cited(row: Row, prose: Sequence[int], remarks: Sequence[str]) -> Row:
    """The row with the numbers of remarks in place of their words."""
    cells = [
        Cell(f"({remarks.index(cell.text) + 1})" if cell.text else "") if place in prose else cell
        for place, cell in enumerate(row.cells)
    ]
    return replace(row, cells=tuple(cells))


_FAR = ord("\N{GREEK CAPITAL LETTER ALPHA}")
_LETTER = (
    dict.fromkeys("ijl.,:;'|!`", 2.4)
    | dict.fromkeys('ftrsI()[]- "', 3.3)
    | dict.fromkeys("ceszv/", 3.9)
    | dict.fromkeys("mwMW%@", 7.1)
    | dict.fromkeys("0123456789abdghknopquxy_*?#$", 4.5)
    | dict.fromkeys("+=<>~^&\\{}\N{MINUS SIGN}", 6.6)
    | dict.fromkeys("↑↓…", 5.0)
)
