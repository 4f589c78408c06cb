"""Explainers over all models at once: mean, interquartile mean, and how often each is better than chance."""

import math
from collections.abc import Sequence
from itertools import groupby

import pandas as pd

from xai_bench.reports.analysis import Analysis
from xai_bench.reports.tables import shared
from xai_bench.reports.tables.shared import Record
from xai_bench.reports.tables.sheet import Cell, Column, Row, Sheet, filled

CAPTION = (
    "Over images x models. Mean: of all scores. IQM: their interquartile mean, that of the middle half, with 95 % "
    "interval; of hits it says nothing. Better than random: probability that the explainer scores better than the "
    "control random on the same image of the same model, ties counted half, with 95 % interval; 0.5 is a coin. n "
    "counts scores."
)
COLUMNS = (
    *(Column("data", spans=True), Column("metric", spans=True), Column("explainer")),
    *(Column("mean"), Column("IQM [95 %]"), Column("better than random [95 %]")),
    *(Column("n", align="right"), Column("models", align="right"), Column("note", align="prose")),
)
CHANCE = ["better_than_random", "better_low", "better_high"]
PLACE = ["data", "metric", "explainer"]


def aggregates(analysis: Analysis) -> Sheet | None:
    """One row per explainer and metric; None where no map was scored."""
    frame = analysis.aggregates.merge(_over_random(analysis), on=PLACE, how="left")
    if frame.empty:
        return None
    rows = [
        Row(
            (
                *(Cell.name(row["data"]), Cell.name(analysis.arrow(row["metric"]))),
                Cell.name(analysis.marked(row["explainer"])),
                Cell() if math.isnan(row["mean"]) else Cell(Cell.of(row["mean"], row["low"], row["high"]).text),
                Cell.of(row["iqm"], row["low"], row["high"]),
                Cell.of(*(row[name] for name in CHANCE)),
                *(Cell.count(row["n"]), Cell.count(row["models"]), Cell.name(row["note"])),
            ),
            "\n".join((row["data"], row["metric"])),
            analysis.kind(row["explainer"]),
        )
        for row in _floor_last(analysis, shared.records(frame))
    ]
    said = shared.sentences(CAPTION, f"{analysis.of_means.capitalize()}." if analysis.of_means else "", shared.CONTROLS)
    grid = filled("", COLUMNS, rows, stub=3)
    return Sheet("aggregates", "Over all models", said, (grid,), shared.metric_specs(analysis), frame)


def _floor_last(analysis: Analysis, rows: Sequence[Record]) -> list[Record]:
    places = {
        name: place for place, name in enumerate(analysis.floor_last(dict.fromkeys(r["explainer"] for r in rows)))
    }
    together = shared.ordered(rows, ("data", "metric"))
    blocks = groupby(together, key=lambda row: (row["data"], row["metric"]))
    return [row for _, block in blocks for row in sorted(block, key=lambda row: places[row["explainer"]])]


def _over_random(analysis: Analysis) -> pd.DataFrame:
    """data, metric, explainer and the probability of its improvement over the control random, with its interval."""
    table = analysis.improvement
    turned = table.rename(columns={"a": "b", "b": "a", "low": "high", "high": "low"})
    turned = turned.assign(**{name: 1 - turned[name] for name in ("probability", "low", "high")})
    whole = pd.concat([part for part in (table, turned) if len(part)] or [table])
    labels = [label for label, facts in analysis.run.explainers.items() if facts.get("name") == "random"]
    names = dict(zip(("a", "probability", "low", "high"), ("explainer", *CHANCE), strict=True))
    return whole[whole["b"].isin(labels[:1])].rename(columns=names)[[*PLACE, *CHANCE]]
