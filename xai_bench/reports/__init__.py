"""Stored scores to tables, figures and one page. Reads a `Run`; never torch, never a model."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from xai_bench.errors import InvalidValueError
from xai_bench.reports import figures, html, tables
from xai_bench.reports.analysis import Analysis, analyse
from xai_bench.reports.words import Finding, findings
from xai_bench.runs.run import Run

_OWN = frozenset(
    f"figures/{drawing.name}.{form}" for drawing in figures.FIGURES for form in figures.FORMATS
) | frozenset(f"tables/{name}.{form}" for name in tables.NAMES for form in tables.FILES)


def write(run: Run, out: Path) -> Path:
    """Tables, figures and the page of a run under `out`; returns the path of index.html.

    Everything is made beside `out` first and moved into place file by file, the page last, so that a failure leaves
    what was there. Other files in `out` are left alone.
    """
    if out.exists() and not out.is_dir():
        raise InvalidValueError(f"a report is written into a folder, but {str(out)!r} is a file")
    analysis = analyse(run)
    out.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        names = [_put(made / name, content) for name, content in _files(analysis)]
        for path in names:
            target = out / path.relative_to(made)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
        for stale in _OWN - {path.relative_to(made).as_posix() for path in names}:
            (out / stale).unlink(missing_ok=True)
    finally:
        shutil.rmtree(made)
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
    for name, content in _tables(analysis):
        yield f"tables/{name}", content.encode()
    for name, picture in pictures.items():
        yield f"figures/{name}", picture
    yield "index.html", html.page(analysis, pictures).encode()


def _tables(analysis: Analysis) -> Iterator[tuple[str, str]]:
    for make in tables.SHEETS:
        if (sheet := make(analysis)) is not None:
            yield from ((f"{sheet.name}.{ending}", render(sheet)) for ending, render in tables.FILES.items())
    yield "summary.csv", tables.csv(analysis.summary)
    yield "curves.csv", tables.csv(analysis.bands)
    yield "findings.md", tables.listed(finding.text for finding in findings(analysis))


def _put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


__all__ = ["Analysis", "Finding", "analyse", "findings", "text_table", "write"]
