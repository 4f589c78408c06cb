"""Paired differences: every comparison that was made, with its test."""

import math

import pandas as pd

from xai_bench.reports.analysis import Analysis
from xai_bench.reports.tables import shared
from xai_bench.reports.tables.shared import Comparisons
from xai_bench.reports.tables.sheet import Cell, Column, Row, Sheet, filled
from xai_bench.reports.words.sentences import lacking, verdict

CAPTION = (
    "a minus b on the images where both are defined, with 95 % interval. Better: by {test}; p is after Holm. "
    "Undefined: images where either score is."
)
EFFECT = (
    "Effect: matched-pairs rank-biserial correlation, from -1 to 1. Needed: images that would tell an "
    "undecided difference of this size with 80 % power at 5 % by itself, before Holm; blank where n is "
    "enough."
)
WORDS = {
    "different": "no direction",
    "equal": "equal",
    "undecided": "undecided",
    "untested": "without a test",
    "undefined": "undefined",
}


def differences(analysis: Analysis) -> Sheet | None:
    """Models under an explainer, then explainers of a model; None where nothing was compared."""
    frame = pd.concat([analysis.models, analysis.explainers], ignore_index=True)
    if frame.empty:
        return None
    columns = [
        *(Column("data", spans=True), Column("metric", spans=True), Column("within")),
        *(Column("a"), Column("b"), Column("a - b [95 %]"), Column("p (Holm)"), Column("better")),
        *(Column("effect", align="right"), Column("n", align="right"), Column("undefined", align="right")),
        *(Column("needed, before Holm", align="right"), Column("note", align="prose")),
    ]
    rows = [
        Row(
            (
                *(Cell.name(row["data"]), Cell.name(analysis.arrow(row["metric"]))),
                Cell.name(_within(analysis, row)),
                *(Cell.name(_side(analysis, row, side)) for side in ("a", "b")),
                Cell.of(row["difference"], row["low"], row["high"], signed=True),
                _p(row["p_holm"]),
                Cell.name(_verdict(row)),
                _effect(row.get("effect", float("nan"))),
                *(Cell.count(row.get(name, float("nan"))) for name in ("n", "undefined")),
                Cell.count(lacking(row)),
                Cell.name(row["note"]),
            ),
            "\n".join(str(row[name]) for name in ("data", "across", "metric")),
        )
        for row in shared.ordered(shared.records(frame), ("data", "across", "metric"))
    ]
    return Sheet(
        name="differences",
        heading="Paired differences",
        caption=shared.sentences(
            CAPTION.format(test=shared.test(analysis)),
            EFFECT if "effect" in frame else "",
            shared.limited(Comparisons.made(analysis)),
            shared.seeded(analysis),
        ),
        grids=(filled("", columns, rows, stub=5),),
        notes=shared.metric_specs(analysis),
        frame=frame,
    )


def _within(analysis: Analysis, row: shared.Record) -> str:
    """What is held fixed."""
    return str(row["fixed"]) if row["across"] == "explainer" else shared.shown(analysis, row["fixed"])


def _side(analysis: Analysis, row: shared.Record, side: str) -> str:
    return analysis.marked(row[side]) if row["across"] == "explainer" else str(row[side])


def _verdict(row: shared.Record) -> str:
    """The winner, or what the sentence on the row says."""
    return str(row[row["better"]]) if row["better"] else WORDS[verdict(row)]


def _p(value: float) -> Cell:
    return Cell() if math.isnan(value) else Cell(f"{value:.2g}" if value >= 1e-4 else "< 0.0001", sort=value)


def _effect(value: float) -> Cell:
    return Cell() if math.isnan(value) else Cell(f"{value:+.2f}", sort=value)
