"""Raw scores beside what they mean: over the clean output, minus the random control, anchored between the controls."""

from itertools import chain

import pandas as pd

from xai_bench.readings import READINGS
from xai_bench.reports.analysis import Analysis
from xai_bench.reports.tables import shared
from xai_bench.reports.tables.shared import Record
from xai_bench.reports.tables.sheet import Cell, Column, Row, Sheet, filled

CAPTION = (
    "Raw scores with their readings: means with 95 % intervals. Raw faithfulness scores depend on how confident a "
    "model is, so compare models by their readings. Over clean: the score divided by the output for the clean image; a "
    "score that is relative already, or made of more than one output, stands as it is. Minus random: the score minus "
    "that of the control random on the same image; 0 is what knowing nothing gives."
)
COLUMNS = (
    *shared.PLACE,
    *(Column("raw [95 %]"), Column("over clean [95 %]"), Column("minus random [95 %]"), Column("anchored [95 %]")),
    *(Column("n", align="right"), Column("undefined", align="right"), Column("note", align="prose")),
)


def readings(analysis: Analysis) -> Sheet | None:
    """One row per cell that has a reading; None where no cell has one."""
    over, minus = (shared.by_cell(analysis.readings[analysis.readings["reading"] == name]) for name in READINGS)
    anchors = shared.anchored(analysis)
    anchored = shared.by_cell(anchors)
    read = over.keys() | anchored.keys()
    summary = [row for row in shared.records(analysis.summary) if shared.key(row) in read]
    if not summary:
        return None
    rows = []
    for row in shared.ordered(summary, ("data", "metric", "model")):
        found = [table.get(shared.key(row), {}) for table in (over, minus, anchored)]
        cells = (
            *shared.place_cells(analysis, row),
            *(_cell(row, "mean"), _cell(found[0], "mean")),
            *(_cell(found[1], "mean", signed=True), _cell(found[2], "anchored")),
            *(Cell.count(row["n"]), Cell.count(row["undefined"]), Cell.name(_notes(found))),
        )
        rows.append(Row(cells, "\n".join((row["data"], row["metric"], row["model"])), analysis.kind(row["explainer"])))
    return Sheet(
        name="readings",
        heading="Readings of the scores",
        caption=shared.sentences(CAPTION, shared.ANCHORED if len(anchors) else "", shared.CONTROLS, shared.UNDEFINED),
        grids=(filled("", COLUMNS, rows, stub=4),),
        notes=shared.metric_specs(analysis),
        frame=pd.concat([analysis.readings, _long(anchors)], ignore_index=True) if len(anchors) else analysis.readings,
    )


def _cell(row: Record, column: str, *, signed: bool = False) -> Cell:
    return Cell.of(row[column], row["low"], row["high"], signed=signed) if row else Cell()


def _notes(rows: list[Record]) -> str:
    """Each note once."""
    parts = chain.from_iterable(str(row["note"]).split("; ") for row in rows if row)
    return "; ".join(dict.fromkeys(part for part in parts if part))


def _long(anchors: pd.DataFrame) -> pd.DataFrame:
    """Anchored scores as a third reading."""
    return anchors.rename(columns={"anchored": "mean"}).assign(reading="anchored")
