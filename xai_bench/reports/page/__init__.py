"""One page that opens offline: what was compared and what is certain, every image, tables, figures and their source."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from PIL import Image

from xai_bench.reports import tables
from xai_bench.reports.analysis import Analysis, unique
from xai_bench.reports.figures import FIGURES, Drawing
from xai_bench.reports.html import HERE, environment, script, stored, uri
from xai_bench.reports.page.explorer import explorer
from xai_bench.reports.page.lines import lines
from xai_bench.reports.page.pixels import webp
from xai_bench.reports.tables import Sheet
from xai_bench.reports.words import Finding, summary

NAMED = 4  # models in the title
VECTOR = 150_000  # bytes; larger drawings travel as pixels
PIXELS = 1600  # along their longer side
SCRIPTS = ("vendor/uPlot.iife.min.js", "page/charts.js", "page/explorer.js")
FIRST = "leaderboard"  # the sheet that stands above the images
OPEN = ("leaderboard", "scores")  # sheets that need no click
ROWS = (5000, 2000, 1000, 500, 250, 100)  # of one sheet, the most that fit
CELLS = 24_000  # of all sheets, about 55 bytes each
SENTENCES = 200  # findings
ELSEWHERE = ("curves", "gallery")  # figures in whose place a script draws; shown where there is none


class Shown(NamedTuple):
    """A figure on the page."""

    heading: str
    caption: str
    alt: str
    source: str


class Part(NamedTuple):
    """A sheet on the page."""

    name: str
    heading: str
    content: Markup
    rows: int
    open: bool
    left_out: str = ""


def page(analysis: Analysis, pictures: Mapping[str, bytes], sheets: Sequence[Sheet], said: Sequence[Finding]) -> str:
    """The whole report as one self-contained page; `pictures` are by file name. Every name in it is escaped."""
    maps, curves, parts = explorer(analysis), lines(analysis), list(_parts(sheets))
    detailed = [finding for finding in said if finding.verdict != "note"]  # notes stand apart
    drawn = {figure.name: _shown(figure, pictures) for figure in FIGURES if f"{figure.name}.svg" in pictures}
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            title=_title(unique(analysis.summary["model"])),
            data=", ".join(unique(analysis.summary["data"])),
            reader_notes=analysis.run.info.get("notes", ()),
            summary=summary(analysis),
            findings=detailed[:SENTENCES],
            findings_count=len(detailed),
            first=[part for part in parts if part.name == FIRST],
            sheets=[part for part in parts if part.name != FIRST],
            figures=[shown for name, shown in drawn.items() if name not in ELSEWHERE],
            curves=curves,
            curves_figure=drawn.get("curves"),
            explorer=maps,
            gallery_figure=drawn.get("gallery"),
            stored={name: stored(content) for name, content in (("lines", curves), ("explorer", maps)) if content},
            chart_style=Markup((HERE / "vendor/uPlot.min.css").read_text("utf-8")),  # noqa: S704 - a file of ours
            licence=(HERE / "vendor/uPlot-LICENSE").read_text("utf-8"),
            script=script(*SCRIPTS) if maps or curves else "",
        )
    )


def _title(models: Sequence[str]) -> str:
    more = len(models) - NAMED
    return ", ".join(models[:NAMED]) + (f" and {more} more model{'s' * (more > 1)}" if more > 0 else "")


def _parts(sheets: Sequence[Sheet]) -> Iterator[Part]:
    most = next((most for most in ROWS if sum(_cells(_cut(sheet, most)) for sheet in sheets) <= CELLS), ROWS[-1])
    for sheet in sheets:
        cut = _cut(sheet, most)
        rows, shown = _rows(sheet), _rows(cut)
        left_out = f"{shown:,} of {rows:,} rows are shown; all are in tables/{sheet.name}.csv." if shown < rows else ""
        yield Part(sheet.name, sheet.heading, tables.html(cut), rows, sheet.name in OPEN, left_out)


def _cut(sheet: Sheet, most: int) -> Sheet:
    """The first rows of each of its grids, which share the room."""
    room = max(1, most // max(1, len(sheet.grids)))
    return replace(sheet, grids=tuple(replace(grid, rows=grid.rows[:room]) for grid in sheet.grids))


def _rows(sheet: Sheet) -> int:
    return sum(len(grid.rows) for grid in sheet.grids)


def _cells(sheet: Sheet) -> int:
    return sum(len(grid.rows) * len(grid.columns) for grid in sheet.grids)


def _shown(figure: Drawing, pictures: Mapping[str, bytes]) -> Shown:
    """The vector drawing, or pixels where it would make the page heavy."""
    vector = pictures[f"{figure.name}.svg"]
    if len(vector) <= VECTOR:
        return Shown(figure.heading, figure.caption, figure.alt, uri("image/svg+xml", vector))
    with BytesIO(pictures[f"{figure.name}.png"]) as file, Image.open(file) as image:
        source = webp(np.asarray(image.convert("RGB")), PIXELS)
    return Shown(figure.heading, figure.caption, figure.alt, source)
