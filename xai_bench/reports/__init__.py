"""Stored scores to tables, figures and one page. Reads a `Run`; never torch, never a model."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from xai_bench.reports import figures, page, tables
from xai_bench.reports.analysis import Analysis, analyse
from xai_bench.reports.folder import put
from xai_bench.reports.words import Finding, findings, sentences
from xai_bench.runs.run import Run

_OWN = frozenset(
    f"figures/{drawing.name}.{form}" for drawing in figures.FIGURES for form in figures.FORMATS
) | frozenset(f"tables/{name}.{form}" for name in tables.NAMES for form in tables.FILES)


def write(run: Run, out: Path) -> Path:
    """Tables, figures and the page of a run under `out`; returns the path of index.html.

    Everything is made beside `out` first and moved into place file by file, the page last, so that a failure leaves
    what was there. Other files in `out` are left alone.
    """
    analysis = analyse(run)
    put(out, _files(analysis), _OWN)
    return out / "index.html"


def text_table(run: Run) -> str:
    """The scores for a terminal."""
    return tables.table(analyse(run), "scores")


def _files(analysis: Analysis) -> Iterator[tuple[str, bytes]]:
    """(path, content) of every file of a report, the page last."""
    drawn = {drawing.name: drawing.draw(analysis) for drawing in figures.FIGURES}
    present = {name: figure for name, figure in drawn.items() if figure is not None}
    pictures = {
        f"{name}.{form}": figures.rendered(figure, form) for name, figure in present.items() for form in figures.FORMATS
    }
    sheets = [sheet for make in tables.SHEETS if (sheet := make(analysis)) is not None]
    said = findings(analysis)
    for name, content in _tables(analysis, sheets, said):
        yield f"tables/{name}", content.encode()
    for name, picture in pictures.items():
        yield f"figures/{name}", picture
    yield "index.html", page.page(analysis, pictures, sheets, said).encode()


def _tables(analysis: Analysis, sheets: Sequence[tables.Sheet], said: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    for sheet in map(tables.shortened, sheets):
        yield from ((f"{sheet.name}.{ending}", render(sheet)) for ending, render in tables.FILES.items())
    yield "summary.csv", tables.csv(analysis.summary)
    yield "curves.csv", tables.csv(analysis.bands)
    yield "findings.md", tables.listed(finding.text for finding in said)
    yield "comparisons.md", tables.listed(sentences(analysis))


__all__ = ["Analysis", "Finding", "analyse", "findings", "text_table", "write"]
