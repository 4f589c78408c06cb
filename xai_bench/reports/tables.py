"""The summary as CSV, Markdown, LaTeX and terminal text: one table is specified, then rendered in each language.

Every table says direction, interval, n and what is undefined, keeps the controls, and prints the specs as notes.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd
from tabulate import tabulate

from xai_bench.reports.analysis import Analysis, Block
from xai_bench.reports.digits import ranged

LEGEND = (
    "Mean over images [95 % interval]. Arrows point to better. Bold: not worse than the best explainer of the model "
    "(or the best model, where no maps are needed) in a paired test at 5 %, Holm-corrected; nothing is bold where no "
    "row is shown to be worse. Undefined scores are counted and left out of the mean. Controls know nothing of the "
    "model and are the floor."
)
COUNTS = "n counts all images, undefined ones too; an empty cell was not scored."


@dataclass(frozen=True)
class Column:
    """A metric over its cells."""

    metric: str
    head: str  # with arrow and notes: `deletion ↓ [1]`
    n: int  # images scored in most cells, undefined ones counted; a cell with another number says so


@dataclass(frozen=True)
class Cell:
    """One mean with its interval, as text."""

    text: str = ""
    top: bool = False
    aside: tuple[str, ...] = ()  # `3 undefined`, `n = 57`

    def __str__(self) -> str:
        return f"{self.text} ({', '.join(self.aside)})" if self.aside else self.text


@dataclass(frozen=True)
class Line:
    """A row of a table."""

    model: str
    explainer: str  # "" in a table that compares models
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Metrics beside each other, models and explainers below each other."""

    data: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]

    @property
    def has_explainers(self) -> bool:
        """Whether its metrics score maps."""
        return any(line.explainer for line in self.lines)


def tables(analysis: Analysis) -> tuple[Table, ...]:
    """The tables of a run, at most four metrics wide."""
    return tuple(_table(analysis, block) for block in analysis.blocks())


def metric_notes(analysis: Analysis) -> dict[tuple[str, str, str], int]:
    """(metric, version, spec) -> number of its footnote."""
    keys = analysis.summary[["metric", "version", "spec"]].drop_duplicates().itertuples(index=False)
    return {(metric, version, spec): number for number, (metric, version, spec) in enumerate(keys, 1)}


def notes(analysis: Analysis) -> tuple[str, ...]:
    """Footnotes in the order of their numbers: metrics with their full specs, then explainers with theirs."""
    metrics = [f"{metric} v{version}: {spec}" for metric, version, spec in metric_notes(analysis)]
    scores = analysis.run.scores
    pairs = scores[scores["explainer"] != "none"][["explainer", "explainer_spec"]].drop_duplicates()
    named = (spec if str(spec).startswith(name) else f"{name}: {spec}" for name, spec in pairs.itertuples(index=False))
    return (*metrics, *named)


def csv(frame: pd.DataFrame) -> str:
    """Full precision; text that a spreadsheet would run as a formula gets an apostrophe in front."""
    safe = frame.map(lambda value: _unarmed(value) if isinstance(value, str) else value)
    return str(safe.to_csv(index=False, na_rep="nan", lineterminator="\n"))


def text(analysis: Analysis) -> str:
    """For a terminal."""
    parts = [f"{table.data}\n{_grid(table, 'simple', str, str, newline=chr(10))}" for table in tables(analysis)]
    specs = [f"[{number}] {note}" for number, note in enumerate(notes(analysis), 1)]
    return "\n\n".join([*parts, "\n".join(specs)])


def markdown(analysis: Analysis) -> str:
    """Pipe tables with an ordered list of notes."""
    parts = [
        f"**{_md(table.data)}**\n\n{_grid(table, 'pipe', _md, lambda cell: f'**{cell}**', newline=' ')}"
        for table in tables(analysis)
    ]
    specs = "\n".join(f"{number}. {_md(note)}" for number, note in enumerate(notes(analysis), 1))
    return "\n\n".join([*parts, f"{LEGEND} {COUNTS}", specs]) + "\n"


def listed(sentences: Iterable[str]) -> str:
    """Sentences as a Markdown list."""
    return "".join(f"- {_md(sentence)}\n" for sentence in sentences)


def latex(analysis: Analysis) -> str:
    """Floats for a paper's page width; they need nothing but booktabs."""
    parts = [_float(table) for table in tables(analysis)]
    specs = [f"[{number}]~{_tex(note)}" for number, note in enumerate(notes(analysis), 1)]
    under = [
        "{\\footnotesize\\raggedright",
        _tex(f"{LEGEND} {COUNTS}"),
        r"\par A superscript 3u says that 3 images are undefined.",
        *(f"\\par {spec}" for spec in specs),
        "\\par}",
    ]
    return "\n".join(["% \\usepackage{booktabs}", *parts, *under]) + "\n"


def _table(analysis: Analysis, block: Block) -> Table:
    cells = analysis.summary[analysis.summary["data"] == block.data]
    found = {(row["metric"], row["model"], row["explainer"]): row for _, row in cells.iterrows()}
    columns = tuple(_column(analysis, metric, cells[cells["metric"] == metric]) for metric in block.metrics)
    lines = [
        Line(
            model,
            _shown(analysis, explainer),
            tuple(_cell(found.get((c.metric, model, explainer)), c) for c in columns),
        )
        for model, explainer in block.rows
    ]
    return Table(block.data, columns, tuple(lines))


def _shown(analysis: Analysis, explainer: str) -> str:
    return "" if explainer == "none" else analysis.marked(explainer)


def _column(analysis: Analysis, metric: str, cells: pd.DataFrame) -> Column:
    numbers = metric_notes(analysis)
    keys = cells[["metric", "version", "spec"]].drop_duplicates().itertuples(index=False, name=None)
    marks = "".join(f"[{numbers[key]}]" for key in keys)
    scored = cells["n"] + cells["undefined"]
    return Column(metric, f"{analysis.arrow(metric)} {marks}", int(scored.mode().max()))


def _cell(row: "pd.Series[Any] | None", column: Column) -> Cell:
    if row is None:
        return Cell()
    n, undefined = int(row["n"]), int(row["undefined"])
    if math.isnan(row["mean"]):
        return Cell("undefined", aside=(f"n = {n + undefined}",) * (n + undefined != column.n))
    aside = [f"n = {n + undefined}"] * (n + undefined != column.n) + [f"{undefined} undefined"] * (undefined > 0)
    return Cell(ranged(row["mean"], row["low"], row["high"]), bool(row["top"]), tuple(aside))


def _grid(table: Table, form: str, escape: Callable[[str], str], strong: Callable[[str], str], *, newline: str) -> str:
    """The table by tabulate; text is escaped before, because tabulate does not."""
    names = ["model", "explainer"] if table.has_explainers else ["model"]
    heads = [*names, *(f"{escape(column.head)}{newline}n = {column.n}" for column in table.columns)]
    rows = [
        [*map(escape, _names(line, table)), *(strong(str(cell)) if cell.top else str(cell) for cell in line.cells)]
        for line in table.lines
    ]
    return tabulate(rows, heads, tablefmt=form, disable_numparse=True)


def _names(line: Line, table: Table) -> Sequence[str]:
    return (line.model, line.explainer) if table.has_explainers else (line.model,)


def _float(table: Table) -> str:
    """One table* with rules between the models."""
    width = 2 if table.has_explainers else 1
    heads = [*("model", "explainer")[:width], *(_tex(column.head) for column in table.columns)]
    counts = [*[""] * width, *(f"$n = {column.n}$" for column in table.columns)]
    rows = [_tex_row(line, table) for line in table.lines]
    if table.has_explainers:
        rows = _ruled(rows, [line.model for line in table.lines])
    body = [" & ".join(heads) + r" \\", " & ".join(counts) + r" \\", r"\midrule", *rows]
    return "\n".join(
        [
            r"\begin{table*}\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{Scores on {_tex(table.data)}.}}",
            rf"\begin{{tabular}}{{{'l' * (width + len(table.columns))}}}",
            r"\toprule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table*}",
        ]
    )


def _tex_row(line: Line, table: Table) -> str:
    return " & ".join([*map(_tex, _names(line, table)), *map(_tex_cell, line.cells)]) + r" \\"


def _tex_cell(cell: Cell) -> str:
    point = rf"\textbf{{{_tex(cell.text)}}}" if cell.top else _tex(cell.text)
    aside = ", ".join(cell.aside).replace(" undefined", "u")
    return rf"{point}\textsuperscript{{{_tex(aside)}}}" if aside else point


def _ruled(rows: list[str], models: list[str]) -> list[str]:
    breaks = [before != after for before, after in pairwise([models[0], *models])]
    return [rf"\midrule{chr(10)}{row}" if broken else row for row, broken in zip(rows, breaks, strict=True)]


def _unarmed(value: str) -> str:
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else value


_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#|~$!])")


def _md(value: str) -> str:
    flat = " ".join(value.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", flat)


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    ",": r",\allowbreak{}",
    ";": r";\allowbreak{}",
    "--": "-{}-",
    "[": "{[}",  # at the start of a row it would be an argument of the row break before it
    "*": "{*}",
} | {sign: f"\\{sign}" for sign in "_&%$#"}
_TEX = re.compile(r"^[\[*]|(?<![\w-])-(?=\d)|--|[,;](?! )|[\\{}~^<>|`↑↓_&%$#]")


def _tex(value: str) -> str:
    """One line of LaTeX: signs escaped, minus signs as such, and a break allowed inside long specs."""
    return _TEX.sub(lambda found: _LATEX.get(found[0], "$-$"), " ".join(value.split()))
