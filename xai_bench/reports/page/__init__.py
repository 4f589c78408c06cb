"""One page that opens offline: what was compared and what is certain, every image, tables, figures and their source."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from xai_bench.reports import tables
from xai_bench.reports.analysis import Analysis, unique
from xai_bench.reports.html import HERE, environment, script, stored, uri
from xai_bench.reports.page.explorer import explorer
from xai_bench.reports.page.lines import lines
from xai_bench.reports.tables import Sheet
from xai_bench.reports.words import findings, summary

NAMED = 4  # models in the title
VECTOR = 400_000  # bytes; larger vector drawings travel as pixels
SCRIPTS = ("vendor/uPlot.iife.min.js", "page/charts.js", "page/explorer.js")
FIRST = "leaderboard"  # the sheet that stands above the images
OPEN = ("leaderboard", "scores")  # sheets that need no click
FIGURES = (
    (
        "forest",
        "Means and intervals",
        "Means with 95 % intervals. Open grey circles are controls. Axes differ between panels.",
        "Mean and 95 % interval of every metric by model and explainer; the same numbers are in the table of scores",
    ),
)
CURVES = "Mean model output as pixels are removed or inserted, a line with its 95 % band per explainer"


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


def page(analysis: Analysis, pictures: Mapping[str, bytes], sheets: Sequence[Sheet]) -> str:
    """The whole report as one self-contained page; `pictures` are by file name. Every name in it is escaped."""
    maps, curves, parts = explorer(analysis), lines(analysis), list(_parts(sheets))
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            title=_title(unique(analysis.summary["model"])),
            data=", ".join(unique(analysis.summary["data"])),
            reader_notes=analysis.run.info.get("notes", ()),
            summary=summary(analysis),
            findings=[finding for finding in findings(analysis) if finding.verdict != "note"],  # notes stand above
            first=[part for part in parts if part.name == FIRST],
            sheets=[part for part in parts if part.name != FIRST],
            figures=[shown for figure in FIGURES if (shown := _shown(pictures, *figure))],
            curves=curves,
            curves_figure=_shown(pictures, "curves", "Curves", "", CURVES),
            explorer=maps,
            gallery_figure=_shown(pictures, "gallery", "Gallery", "", "Images with their maps"),
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
    for sheet in sheets:
        rows = sum(len(grid.rows) for grid in sheet.grids)
        yield Part(sheet.name, sheet.heading, tables.html(sheet), rows, sheet.name in OPEN)


def _shown(pictures: Mapping[str, bytes], name: str, heading: str, caption: str, alt: str) -> Shown | None:
    """The vector drawing, or the pixels where that would make the page heavy."""
    if f"{name}.svg" not in pictures:
        return None
    small = len(pictures[f"{name}.svg"]) <= VECTOR
    kind, form = ("image/svg+xml", "svg") if small else ("image/png", "png")
    return Shown(heading, caption, alt, uri(kind, pictures[f"{name}.{form}"]))
