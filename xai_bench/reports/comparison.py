"""Runs held against each other, as a text, tables, a figure and one page."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from xai_bench.comparison import Compared
from xai_bench.grammar import ARROWS, counted, series
from xai_bench.reports import changes
from xai_bench.reports.analysis import unique
from xai_bench.reports.figures import FORMATS
from xai_bench.reports.folder import put
from xai_bench.reports.study_page import Picture, Section, Study, Table, write_study
from xai_bench.reports.tables import FILES, listed
from xai_bench.reports.tables import text as text_of
from xai_bench.reports.tables.sheet import Cell, Column, Row, Sheet, filled
from xai_bench.reports.words.sentences import comparison, lacking, verdict, with_tests

ORDER = ("worse", "better", "different", "undecided", "equal", "untested", "undefined")
NAMES = {"undecided": "not told apart", "untested": "without a test", "different": "different"}
SPOKEN = 12  # sentences on the page; the file holds all
CAPTION = (
    "Difference: the run minus the reference, mean over the images that both have, with 95 % interval. Better and "
    "worse only where the paired test by image (Wilcoxon's signed-rank; of hits the exact sign test) decides at 5 %, "
    "Holm-corrected over all rows of a metric, and the interval excludes 0. Arrows point to better. Undefined: images "
    "where either score is; lost: those of them that the reference has a score of. Needed: images that would tell "
    "an undecided difference of this size by itself, before Holm; blank where that is no more than there are."
)
OWN = frozenset(f"figures/differences.{form}" for form in FORMATS)


def sentences(compared: Compared) -> tuple[str, ...]:
    """One per row: what is worse, what is better, then what is not told apart."""
    rows = [(verdict(row), row) for _, row in with_tests(compared.table).iterrows()]
    ordered = sorted(rows, key=lambda pair: ORDER.index(pair[0]))
    return tuple(comparison(row, compared.cards.get(str(row["metric"]), {})) for _, row in ordered)


def lead(compared: Compared) -> str:
    """`new against old: 12 differences, of which 3 are better, 2 worse and 7 not told apart.`."""
    verdicts = [verdict(row) for _, row in compared.table.iterrows()]
    counts = [f"{verdicts.count(name):,} {NAMES.get(name, name)}" for name in ORDER if name in verdicts]
    runs = series(compared.names[1:])
    return f"{runs} against {compared.names[0]}, {counted(len(verdicts), 'comparison')}: {series(counts, len(ORDER))}."


def sheet(compared: Compared) -> Sheet:
    """The differences as a table that every language renders."""
    columns = [
        *(
            Column("data", spans=True),
            Column("metric", spans=True),
            Column("run"),
            Column("model"),
            Column("explainer"),
        ),
        *(Column("reference"), Column("now"), Column("difference [95 %]"), Column("p (Holm)"), Column("verdict")),
        *(Column("n", align="right"), Column("undefined", align="right"), Column("lost", align="right")),
        *(Column("needed, before Holm", align="right"), Column("note", align="prose")),
    ]
    rows = [Row(cells, group="\n".join(cell.text for cell in cells[:2])) for cells in _lines(compared)]
    return Sheet(
        name="differences",
        heading="Differences between runs",
        caption=f"{lead(compared)} {CAPTION}",
        grids=(filled("", columns, rows, stub=5),),
        notes=compared.notes,
        frame=compared.table.assign(verdict=[verdict(row) for _, row in compared.table.iterrows()]),
    )


def text(compared: Compared) -> str:
    """For a terminal: the table, what else differs, and a sentence per row."""
    return "\n\n".join([text_of(sheet(compared)), "\n".join(sentences(compared))])


def records(compared: Compared) -> dict[str, Any]:
    """For machines: names, notes and rows; nan is null."""
    rows = compared.table.astype(object).where(compared.table.notna(), None).to_dict("records")
    spoken = [
        row | {"verdict": verdict(one), "sentence": comparison(one, compared.cards.get(str(row["metric"]), {}))}
        for row, (_, one) in zip(rows, with_tests(compared.table).iterrows(), strict=True)
    ]
    runs = list(compared.names)
    return {"reference": runs[0], "runs": runs[1:], "notes": list(compared.notes), "differences": spoken}


def write(compared: Compared, out: Path) -> Path:
    """Tables (csv, md, tex, html), sentences, a figure (pdf, svg, png) and one page under `out`; gives the page."""
    put(out, _files(compared), OWN)
    return out / "index.html"


def _files(compared: Compared) -> Iterator[tuple[str, bytes]]:
    """(path, content), the page last."""
    made = sheet(compared)
    for ending, render in FILES.items():
        yield f"tables/{made.name}.{ending}", render(made).encode()
    yield "tables/comparisons.md", listed(sentences(compared)).encode()
    with tempfile.TemporaryDirectory() as folder:
        page = write_study(_study(compared, made), Path(folder))
        pictures = sorted((page.parent / "figures").glob("*"))
        yield from ((f"figures/{path.name}", path.read_bytes()) for path in pictures)
        yield "comparison.md", (page.parent / "study.md").read_bytes()
        yield page.name, page.read_bytes()


def _study(compared: Compared, made: Sheet) -> Study:
    spoken = sentences(compared)
    more = [f"{len(spoken) - SPOKEN:,} more are in tables/comparisons.md."] if len(spoken) > SPOKEN else []
    figure = changes.forest(compared)
    caption = f"{changes.CAPTION}{changes.left_out(compared)}"
    pictures = [] if figure is None else [Picture("differences", caption, figure, alt=lead(compared))]
    return Study(
        title=f"{series(compared.names[1:])} against {compared.names[0]}",
        lead=lead(compared),
        notes=compared.notes,
        findings=[*spoken[:SPOKEN], *more],
        sections=[Section("Differences", "", [Table(made.name, CAPTION, made.frame, _shown(made))], pictures)],
    )


def _shown(made: Sheet) -> pd.DataFrame:
    grid = made.grids[0]
    rows = [[f"{cell.text} {cell.bounds}".strip() for cell in row.cells] for row in grid.rows]
    return pd.DataFrame(rows, columns=[column.head for column in grid.columns])


def _lines(compared: Compared) -> Iterator[tuple[Cell, ...]]:
    data = len(unique(compared.table["data"])) > 1
    runs = len(compared.names) > 2
    for _, row in compared.table.iterrows():
        ends = row["low"], row["high"]
        arrow = f"{row['metric']} {ARROWS.get(row['direction'], '')}".rstrip()
        yield (
            Cell.name(str(row["data"]) if data else ""),
            Cell.name(arrow),
            Cell.name(str(row["a"]) if runs else ""),
            Cell.name(_model(row)),
            Cell.name("" if row["explainer"] == "none" else str(row["explainer"])),
            *(Cell(Cell.of(row[name], *ends).text, sort=row[name]) for name in ("mean_b", "mean_a")),
            Cell.of(row["difference"], *ends, signed=True),
            _p(row["p_holm"]),
            Cell.name(NAMES.get(verdict(row), verdict(row))),
            *(Cell.count(float(row[name])) for name in ("n", "undefined", "lost")),
            Cell.count(lacking(row)),
            Cell.name(str(row["note"])),
        )


def _model(row: "pd.Series[Any]") -> str:
    same = row["model"] == row["reference_model"]
    return str(row["model"]) if same else f"{row['model']} (was {row['reference_model']})"


def _p(value: float) -> Cell:
    return Cell() if math.isnan(value) else Cell(f"{value:.2g}" if value >= 1e-4 else "< 0.0001", sort=value)
