"""A study as one page, a text, tables and figures: what was claimed, whether it held, and what was measured."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from tabulate import tabulate

from xai_bench.claims import Claim, Verdict, judge
from xai_bench.digits import number, ranged
from xai_bench.reports.figures import FORMATS, rendered
from xai_bench.reports.html import environment, uri
from xai_bench.reports.tables import csv, listed

TINTS = {"held": "better", "refuted": "worse", "open": "undecided"}  # classes of the page's style
RULE = """Held: the 95 % interval, drawn anew over trainings and images, and every training by itself lie above the
bound. Refuted: both lie at or below it. Open: neither. Each claim is judged by itself."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table, `name` for its file and `caption` for its reader; `shown` stands in its place where it is too fine."""

    name: str
    caption: str
    frame: pd.DataFrame
    shown: pd.DataFrame | None = None
    whole: tuple[str, ...] = ()  # columns that stay on one line


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure, `name` for its files; `alt` says what is to be seen."""

    name: str
    caption: str
    figure: Figure
    alt: str = ""


@dataclass(frozen=True, eq=False)
class Section:
    """A heading, a few sentences, and what belongs to them."""

    heading: str
    text: str = ""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True, eq=False)
class Study:
    """All that the page of a study shows; claims stand first."""

    title: str
    lead: str  # a sentence or two: what was asked, of what
    sections: Sequence[Section]
    claims: Sequence[Claim] = ()
    findings: Sequence[str] = ()  # further sentences
    notes: Sequence[str] = ()  # what a reader must know before believing
    definitions: Mapping[str, str] = field(default_factory=dict)  # name -> what it is
    provenance: Mapping[str, str] = field(default_factory=dict)  # versions, fingerprints, settings


def write_study(study: Study, out: Path) -> Path:
    """Tables (csv), figures (pdf, svg, png), study.md and one page that opens offline, under `out`; gives the page."""
    verdicts = [judge(claim) for claim in study.claims]
    claims = claims_table(study.claims, verdicts)
    vectors = {}
    files: dict[str, bytes] = {"tables/claims.csv": csv(claims).encode()} if len(claims) else {}
    for section in study.sections:
        files |= {f"tables/{table.name}.csv": csv(table.frame).encode() for table in section.tables}
        for picture in section.pictures:
            drawn = {form: rendered(picture.figure, form) for form in FORMATS}
            vectors[picture.name] = drawn["svg"]
            files |= {f"figures/{picture.name}.{form}": content for form, content in drawn.items()}
    files["study.md"] = _markdown(study, verdicts).encode()
    files["index.html"] = _page(study, verdicts, vectors).encode()
    for name, content in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return out / "index.html"


def claims_table(claims: Sequence[Claim], verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """One row per claim: the sentence, where it is from, what was measured, the number, the verdict."""
    rows = [
        {
            "verdict": found.verdict,
            "claim": claim.says,
            "where": claim.where,
            "source": claim.source,
            "measured": claim.measured,
            "mean": found.mean,
            "low": found.low,
            "high": found.high,
            "bound": claim.above,
            "per training": " ".join(f"{value:.4g}" for value in found.per_seed),
            "p per training": " ".join(f"{value:.2g}" for value in found.p),
            "images": found.n,
            "undefined": found.undefined,
            "note": claim.note,
        }
        for claim, found in zip(claims, verdicts, strict=True)
    ]
    return pd.DataFrame(rows)


def _said(claim: Claim, found: Verdict) -> str:
    """`+0.12 [0.03, 0.2], bound 0; trainings +0.1, +0.14; 200 images`: the number with all that decides."""
    each = ", ".join(
        "undefined" if math.isnan(value) else number(value, found.low, found.high, "+") for value in found.per_seed
    )
    if math.isnan(found.mean):
        return "undefined in every image"
    lost = f", {found.undefined} values undefined" if found.undefined else ""
    images = f"; {found.n} images each{lost}" if found.n > 1 else lost
    return f"{ranged(found.mean, found.low, found.high, signed=True)}, bound {claim.above:g}; trainings {each}{images}"


def _markdown(study: Study, verdicts: Sequence[Verdict]) -> str:
    parts = [f"# {study.title}", study.lead]
    parts += [listed(study.notes).strip()] if study.notes else []
    if study.claims:
        rows = [
            {
                "": found.verdict,
                "claim": ": ".join(filter(None, (claim.says, claim.where))),
                "measured": claim.measured,
                "found": _said(claim, found),
            }
            for claim, found in zip(study.claims, verdicts, strict=True)
        ]
        parts += ["## Claims", f"{_counts(verdicts)}. {' '.join(RULE.split())}", _grid(pd.DataFrame(rows))]
    parts += ["## Findings", listed(study.findings).strip()] if study.findings else []
    for section in study.sections:
        parts += [f"## {section.heading}", section.text] if section.text else [f"## {section.heading}"]
        for table in section.tables:
            parts += [_grid(_shown(table)), table.caption]
        parts += [f"![{picture.alt or picture.caption}](figures/{picture.name}.svg)" for picture in section.pictures]
    if study.definitions:
        parts += ["## Definitions", "\n".join(f"- `{name}`: {text}" for name, text in study.definitions.items())]
    return "\n\n".join(parts) + "\n"


def _grid(frame: pd.DataFrame) -> str:
    return tabulate(frame, headers="keys", tablefmt="github", showindex=False, disable_numparse=True)  # type: ignore[arg-type]


def _page(study: Study, verdicts: Sequence[Verdict], vectors: Mapping[str, bytes]) -> str:
    return (
        environment()
        .get_template("study.html.j2")
        .render(
            study=study,
            claims=list(_grouped(study.claims, verdicts)),
            counts=_counts(verdicts),
            rule=" ".join(RULE.split()),
            sections=[
                (
                    section,
                    [(table, _shown(table)) for table in section.tables],
                    [(picture, uri("image/svg+xml", vectors[picture.name])) for picture in section.pictures],
                )
                for section in study.sections
            ],
        )
    )


def _grouped(claims: Sequence[Claim], verdicts: Sequence[Verdict]) -> Iterator[dict[str, Any]]:
    """Claims that say the same of several data, models or measures stand together."""
    pairs = zip(claims, verdicts, strict=True)
    for (says, source), group in groupby(pairs, key=lambda pair: (pair[0].says, pair[0].source)):
        judged = list(group)
        notes = {claim.note for claim, _ in judged}
        yield {
            "says": says,
            "source": source,
            "counts": _counts([found for _, found in judged]) if len(judged) > 1 else "",
            "note": notes.pop() if len(notes) == 1 else "",  # said once
            "parts": [(claim, found.verdict, TINTS[found.verdict], _said(claim, found)) for claim, found in judged],
        }


def _counts(verdicts: Sequence[Verdict]) -> str:
    """`3 held, 1 refuted, 2 open`."""
    names = [found.verdict for found in verdicts]
    return ", ".join(f"{names.count(name)} {name}" for name in TINTS if name in names)


def _shown(table: Table) -> pd.DataFrame:
    """As a reader sees it: three digits, and nothing where nothing is known."""
    frame = table.frame if table.shown is None else table.shown
    return frame.map(lambda value: _digits(value) if isinstance(value, float) else value)


def _digits(value: float) -> str:
    return "" if value != value else f"{value:.3g}"  # noqa: PLR0124 - nan
