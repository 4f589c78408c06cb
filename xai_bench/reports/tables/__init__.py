"""Tables of a run: each is specified once, as a sheet in no language, then rendered in any of them.

Every table says direction, interval, n and what is undefined, keeps the controls, and prints the specs as notes.
"""

from collections.abc import Callable, Mapping

from xai_bench.errors import RunError, UnknownNameError
from xai_bench.reports.analysis import Analysis
from xai_bench.reports.tables.aggregates import aggregates
from xai_bench.reports.tables.differences import differences
from xai_bench.reports.tables.html import html
from xai_bench.reports.tables.latex import latex
from xai_bench.reports.tables.leaderboard import leaderboard
from xai_bench.reports.tables.markdown import listed, markdown
from xai_bench.reports.tables.plain import csv, text
from xai_bench.reports.tables.provenance import provenance
from xai_bench.reports.tables.ranks import ranks
from xai_bench.reports.tables.readings import readings
from xai_bench.reports.tables.scores import scores
from xai_bench.reports.tables.shared import metric_notes, notes
from xai_bench.reports.tables.sheet import Cell, Column, Grid, Row, Sheet, shortened
from xai_bench.reports.tables.undefined import undefined

Maker = Callable[[Analysis], Sheet | None]  # None: the run has nothing to put into it
SHEETS: tuple[Maker, ...] = (leaderboard, scores, differences, ranks, readings, aggregates, undefined, provenance)
NAMES = ("leaderboard", "scores", "differences", "ranks", "readings", "aggregates", "undefined", "provenance")
Render = Callable[[Sheet], str]
FORMS: Mapping[str, Render] = {
    "csv": lambda sheet: csv(sheet.frame),
    "markdown": markdown,
    "latex": latex,
    "html": html,
    "text": text,
}
ENDINGS = {"csv": "csv", "md": "markdown", "tex": "latex", "html": "html"}
FILES: Mapping[str, Render] = {ending: FORMS[form] for ending, form in ENDINGS.items()}  # by the ending of the file


def table(analysis: Analysis, name: str, form: str = "text") -> str:
    """One table of a run in one language, named or as a file ends: `latex` or `tex`."""
    makers = dict(zip(NAMES, SHEETS, strict=True))
    if name not in makers:
        raise UnknownNameError.of("table", name, makers)
    form = ENDINGS.get(form, form)
    if form not in FORMS:
        raise UnknownNameError.of("form of a table", form, FORMS)
    sheet = makers[name](analysis)
    if sheet is None:
        raise RunError(f"the run has nothing for the table {name!r}: {EMPTY[name]}")
    return FORMS[form](sheet)


EMPTY = {
    "differences": "it holds no two models or explainers scored by the same metric on the same images",
    "ranks": "ranks need at least three explainers of a model, or two models, scored by a metric on the same images",
    "readings": "it holds no metric of faithfulness and no control to anchor scores at",
    "aggregates": "it holds no maps scored by a metric",
    "undefined": "every score in it is defined",
}

__all__ = [
    "FILES",
    "FORMS",
    "NAMES",
    "SHEETS",
    "Cell",
    "Column",
    "Grid",
    "Row",
    "Sheet",
    "csv",
    "html",
    "latex",
    "listed",
    "markdown",
    "metric_notes",
    "notes",
    "shortened",
    "table",
    "text",
]
