"""Tables as Markdown: pipe tables with an ordered list of notes."""

from collections.abc import Iterable

from tabulate import tabulate

from xai_bench.markdown import escaped
from xai_bench.reports.tables.plain import head
from xai_bench.reports.tables.sheet import Cell, Part, Sheet, parts


def markdown(sheet: Sheet) -> str:
    """Every grid with its title, then the caption and the notes."""
    grids = [
        "\n\n".join(filter(None, (f"**{escaped(part.title)}**" if part.title else "", _grid(part))))
        for grid in sheet.grids
        for part in parts(grid)
    ]
    notes = "\n".join(f"{number}. {escaped(note)}" for number, note in enumerate(sheet.notes, 1))
    return "\n\n".join(filter(None, [f"## {escaped(sheet.heading)}", *grids, escaped(sheet.caption), notes])) + "\n"


def listed(sentences: Iterable[str]) -> str:
    """Sentences as a Markdown list."""
    return "".join(f"- {escaped(sentence)}\n" for sentence in sentences)


def _grid(part: Part) -> str:
    heads = [" ".join(filter(None, (escaped(head(column)), column.under))) for column in part.columns]
    rows = [[_cell(cell) for cell in row.cells] for row in part.rows]
    sides = ["right" if column.align == "right" else "left" for column in part.columns]
    return tabulate(rows, heads, tablefmt="pipe", disable_numparse=True, colalign=sides)


def _cell(cell: Cell) -> str:
    point = f"**{escaped(cell.text)}**" if cell.top else escaped(cell.text)
    beats = f"<sup>{escaped(cell.beats)}</sup>" if cell.beats else ""
    aside = f"({escaped(', '.join(cell.aside))})" if cell.aside else ""
    return " ".join(filter(None, (point + beats, escaped(cell.bounds), aside)))
