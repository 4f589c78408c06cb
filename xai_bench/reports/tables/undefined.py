"""What could not be scored, and why."""

from xai_bench.reports.analysis import Analysis
from xai_bench.reports.tables import shared
from xai_bench.reports.tables.sheet import Cell, Column, Row, Sheet, filled

CAPTION = (
    "Scores that are undefined, by reason. An undefined score is never 0: it is left out of the mean of its row and "
    "of every paired comparison."
)


def undefined(analysis: Analysis) -> Sheet | None:
    """One row per cell and reason; None where every score is defined."""
    frame = analysis.undefined
    if frame.empty:
        return None
    columns = [
        *shared.PLACE,
        *(Column("reason", align="prose"), Column("undefined", align="right"), Column("of", align="right")),
    ]
    rows = [
        Row(
            (
                *shared.place_cells(analysis, row),
                Cell.name(row["reason"]),
                *(Cell.count(row["undefined"]), Cell.count(row["scored"])),
            ),
            "\n".join(str(row[name]) for name in ("data", "metric", "model")),
            analysis.kind(row["explainer"]),
        )
        for row in shared.records(frame)
    ]
    return Sheet("undefined", "Undefined scores", CAPTION, (filled("", columns, rows, stub=4),), frame=frame)
