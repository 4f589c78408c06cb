"""Tables as CSV for machines and as text for a terminal."""

import pandas as pd
from tabulate import tabulate

from xai_bench.reports.tables.sheet import Cell, Column, Part, Sheet, cited, parts

SIGNS = "* stands for bold, ^ for a superscript."


def csv(frame: pd.DataFrame) -> str:
    """Full precision; text that a spreadsheet would run as a formula gets an apostrophe in front."""
    safe = frame.map(lambda value: _unarmed(value) if isinstance(value, str) else value)
    safe.columns = [_unarmed(str(name)) for name in frame.columns]
    return str(safe.to_csv(index=False, na_rep="nan", lineterminator="\n"))


def text(sheet: Sheet) -> str:
    """For a terminal: grids with their notes; the caption is in the other forms."""
    drawn = [part for grid in sheet.grids for part in parts(grid)]
    marked = any(cell.top or cell.beats for part in drawn for row in part.rows for cell in row.cells)
    grids = ["\n".join(filter(None, (part.title, _grid(part)))) for part in drawn]
    numbered = cited(sheet)
    notes = "\n".join(f"[{n}] {note}" if n in numbered else note for n, note in enumerate(sheet.notes, 1))
    return "\n\n".join(filter(None, [*grids, f"{sheet.caption} {SIGNS}" if marked else sheet.caption, notes]))


def head(column: Column) -> str:
    """`deletion ↓ [1]`."""
    return f"{column.head} {''.join(f'[{number}]' for number in column.notes)}".strip()


def plain(cell: Cell) -> str:
    """`*0.412^bd [0.378, 0.447] (3 undefined)`."""
    point = f"{'*' * cell.top}{cell.text}{f'^{cell.beats}' * bool(cell.beats)}"
    aside = f"({', '.join(cell.aside)})" if cell.aside else ""
    return " ".join(filter(None, (point, cell.bounds, aside)))


def _grid(part: Part) -> str:
    heads = ["\n".join(filter(None, (head(column), column.under))) for column in part.columns]
    rows = [[plain(cell) for cell in row.cells] for row in part.rows]
    sides = ["right" if column.align == "right" else "left" for column in part.columns]
    return tabulate(rows, heads, tablefmt="simple", disable_numparse=True, colalign=sides)


def _unarmed(value: str) -> str:
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else value
