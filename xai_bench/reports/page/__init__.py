"""One page that opens offline: what was compared and what is certain, every image, tables, figures and their source."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from xai_bench.readings import READINGS
from xai_bench.reports import tables
from xai_bench.reports.analysis import Analysis, unique
from xai_bench.reports.digits import number, ranged
from xai_bench.reports.html import HERE, environment, script, stored, uri
from xai_bench.reports.page.explorer import explorer
from xai_bench.reports.page.lines import lines
from xai_bench.reports.words import findings

FIRST = 12  # findings shown before "more"
VECTOR = 400_000  # bytes; larger vector drawings travel as pixels
SCRIPTS = ("vendor/uPlot.iife.min.js", "page/charts.js", "page/explorer.js")
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


def page(analysis: Analysis, pictures: Mapping[str, bytes]) -> str:
    """The whole report as one self-contained page; `pictures` are by file name. Every name in it is escaped."""
    said = [finding for finding in findings(analysis) if finding.verdict != "note"]  # notes stand at the top
    maps, curves = explorer(analysis), lines(analysis)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            title=", ".join(unique(analysis.summary["model"])),
            data=", ".join(unique(analysis.summary["data"])),
            reader_notes=analysis.run.info.get("notes", ()),
            first=said[:FIRST],
            more=said[FIRST:],
            figures=[shown for figure in FIGURES if (shown := _shown(pictures, *figure))],
            curves=curves,
            curves_figure=_shown(pictures, "curves", "Curves", "", CURVES),
            explorer=maps,
            gallery_figure=_shown(pictures, "gallery", "Gallery", "", "Images with their maps"),
            stored={name: stored(content) for name, content in (("lines", curves), ("explorer", maps)) if content},
            readings=list(_readings(analysis)),
            differences=list(_differences(analysis)),
            provenance=list(_provenance(analysis)),
            chart_style=(HERE / "vendor/uPlot.min.css").read_text("utf-8"),
            licence=(HERE / "vendor/uPlot-LICENSE").read_text("utf-8"),
            script=script(*SCRIPTS) if maps or curves else "",
            **_table(analysis),
        )
    )


def table(analysis: Analysis) -> str:
    """The summary table alone, to be put into a page of one's own."""
    return environment().get_template("table.html.j2").render(**_table(analysis))


def _shown(pictures: Mapping[str, bytes], name: str, heading: str, caption: str, alt: str) -> Shown | None:
    """The vector drawing, or the pixels where that would make the page heavy."""
    if f"{name}.svg" not in pictures:
        return None
    small = len(pictures[f"{name}.svg"]) <= VECTOR
    kind, form = ("image/svg+xml", "svg") if small else ("image/png", "png")
    return Shown(heading, caption, alt, uri(kind, pictures[f"{name}.{form}"]))


def _table(analysis: Analysis) -> dict[str, Any]:
    return {"rows": list(_rows(analysis)), "notes": tables.notes(analysis), "legend": tables.LEGEND}


def _rows(analysis: Analysis) -> Iterator[dict[str, Any]]:
    numbers = tables.metric_notes(analysis)
    for _, row in analysis.summary.iterrows():
        ends = row["low"], row["high"]
        defined, spread = not math.isnan(row["mean"]), not math.isnan(row["low"])
        yield dict(row) | {
            "arrow": analysis.arrow(row["metric"]).removeprefix(row["metric"]),
            "kind": analysis.kind(row["explainer"]),
            "footnote": numbers[row["metric"], row["version"], row["spec"]],
            "mean_text": number(row["mean"], *ends) if defined else "undefined",
            "interval": f"[{number(ends[0], *ends)}, {number(ends[1], *ends)}]" if spread else "",
            "sort": row["mean"] if defined else "",
        }


def _differences(analysis: Analysis) -> Iterator[dict[str, Any]]:
    for _, row in pd.concat([analysis.models, analysis.explainers]).dropna(subset="difference").iterrows():
        size = ranged(row["difference"], row["low"], row["high"], signed=True)
        yield dict(row) | {"size": size, "winner": row[row["better"]] if row["better"] else "undecided"}


def _readings(analysis: Analysis) -> Iterator[dict[str, Any]]:
    """One row per cell: the score and its two readings."""
    keys = ["data", "model", "explainer", "metric"]
    both = [analysis.readings[analysis.readings["reading"] == reading] for reading in READINGS]
    whole = analysis.summary.merge(both[0][keys], on=keys)
    for (_, raw), (_, over), (_, minus) in zip(whole.iterrows(), both[0].iterrows(), both[1].iterrows(), strict=True):
        parts = {"raw": raw, "over": over, "minus": minus}
        yield dict(over[keys]) | {
            "arrow": analysis.arrow(over["metric"]).removeprefix(over["metric"]),
            "kind": analysis.kind(over["explainer"]),
            "note": "; ".join(dict.fromkeys(part for row in (over, minus) for part in row["note"].split("; ") if part)),
            **{name: _size(row, signed=name == "minus") for name, row in parts.items()},
            **{f"{name}_sort": row["mean"] for name, row in parts.items()},
        }


def _size(row: "pd.Series[Any]", *, signed: bool) -> str:
    return "" if math.isnan(row["mean"]) else ranged(row["mean"], row["low"], row["high"], signed=signed)


def _provenance(analysis: Analysis) -> Iterator[tuple[str, str]]:
    """Whatever run.json says, and what every row says."""
    yield from _flat(analysis.run.info)
    for name in ("seed", "precision", "device", "fingerprints"):
        yield f"rows.{name}", "; ".join(unique(analysis.run.scores[name]))


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value):
        for place, item in enumerate(value):
            yield from _flat(item, f"{name}.{place}")
    else:
        yield name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
