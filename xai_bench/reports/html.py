"""One page that opens offline: findings, tables, figures, footnotes and where the numbers come from."""

import base64
import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from xai_bench.readings import READINGS
from xai_bench.reports import tables
from xai_bench.reports.analysis import Analysis, unique
from xai_bench.reports.digits import number, ranged
from xai_bench.reports.figures import gallery, rendered
from xai_bench.reports.figures.pictures import NOTE
from xai_bench.reports.words import findings

FIRST = 12  # findings shown before "more"
PICTURES = 24


def page(analysis: Analysis, pictures: Mapping[str, bytes]) -> str:
    """The whole report as one self-contained page; `pictures` are by file name. Every name in it is escaped."""
    said = [finding for finding in findings(analysis) if finding.verdict != "note"]  # notes stand at the top
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            title=", ".join(unique(analysis.summary["model"])),
            data=", ".join(unique(analysis.summary["data"])),
            reader_notes=analysis.run.info.get("notes", ()),
            first=said[:FIRST],
            more=said[FIRST:],
            figures={name: uri("image/svg+xml", picture) for name, picture in pictures.items() if name.endswith("svg")},
            gallery=list(_pictures(analysis)),
            gallery_note=NOTE,
            readings=list(_readings(analysis)),
            differences=list(_differences(analysis)),
            provenance=list(_provenance(analysis)),
            **_table(analysis),
        )
    )


def table(analysis: Analysis) -> str:
    """The summary table alone, to be put into a page of one's own."""
    return environment().get_template("table.html.j2").render(**_table(analysis))


@cache
def environment() -> Environment:
    """The templates; every name put into them is escaped."""
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


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


def _pictures(analysis: Analysis) -> Iterator[tuple[str, str]]:
    """(alt text, png) of each panel."""
    for panel in analysis.run.gallery[:PICTURES]:
        if (figure := gallery(analysis, [panel])) is not None:
            names = ", ".join(dict.fromkeys(explainer for _, explainer in panel.maps))
            outlined = "" if panel.region is None else "; the object is outlined"
            alt = f"Image {panel.sample} of {panel.data} with maps of {names}{outlined}"
            yield alt, uri("image/png", rendered(figure, "png", dpi=130))


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
        for number, item in enumerate(value):
            yield from _flat(item, f"{name}.{number}")
    else:
        yield name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def uri(kind: str, content: bytes) -> str:
    """A file inside of a page."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
