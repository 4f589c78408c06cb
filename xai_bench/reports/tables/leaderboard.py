"""The leaderboard: one row per score, best first, with the ranks that the tests leave open."""

import math

import pandas as pd

from xai_bench.reports.analysis import Analysis
from xai_bench.reports.tables import shared
from xai_bench.reports.tables.marks import letters
from xai_bench.reports.tables.shared import Comparisons, Record
from xai_bench.reports.tables.sheet import Cell, Column, Grid, Row, Sheet, filled

RANKS = (
    "Rank: the places that the tests leave open within the group, from 1 plus the rows that are significantly better, "
    "to all rows minus those that are significantly worse."
)
SPREADS = {"sd_images": "sd over images", "sd_seeds": "sd over seeds"}


def leaderboard(analysis: Analysis) -> Sheet:
    """Explainers within a model, and models where a metric needs no maps, ordered by their means."""
    comparisons, anchored = Comparisons.made(analysis), shared.by_cell(shared.anchored(analysis))
    groups = [_ranked(analysis, group, comparisons) for group in _groups(analysis.summary)]
    rows = shared.ordered([row for group in groups for row in group], ("data", "metric", "group"))
    grids = [
        _grid(analysis, [record for record in rows if (record["explainer"] == "none") == mapless], anchored, mapless)
        for mapless in (True, False)
    ]
    return Sheet(
        name="leaderboard",
        heading="Leaderboard",
        caption=shared.sentences(
            shared.legend(analysis),
            RANKS,
            shared.ANCHORED if anchored else "",
            "n counts the defined scores.",
            shared.untested(analysis),
            shared.limited(comparisons),
            shared.seeded(analysis),
        ),
        grids=tuple(grid for grid in grids if grid.rows),
        notes=shared.notes(analysis),
        frame=pd.DataFrame(rows)[[*analysis.summary, "first", "last"]].astype({"first": "Int64", "last": "Int64"}),
    )


def _groups(summary: pd.DataFrame) -> list[list[Record]]:
    """What is compared with each other: a data set's models, or a model's explainers; best mean first."""
    found: dict[tuple[str, str, str], list[Record]] = {}
    for row in shared.records(summary):
        held = row["model"] if row["explainer"] != "none" else ""
        found.setdefault((row["data"], row["metric"], held), []).append(row)
    return [sorted(group, key=_from_the_best) for group in found.values()]


def _from_the_best(row: Record) -> float:
    """The mean, turned so that less is better; the undefined last, and as they come where no direction is stated."""
    turned = {"lower": row["mean"], "higher": -row["mean"]}.get(row["better"], 0.0)
    return math.inf if math.isnan(turned) else turned


def _ranked(analysis: Analysis, group: list[Record], comparisons: Comparisons) -> list[Record]:
    """The rows with their letter, what they beat by letter, and the first and last rank left open."""
    places = [comparisons.of(row) for row in group]
    rivals = [place[-1] for row, (_, place) in zip(group, places, strict=True) if _competes(analysis, row)]
    row_of = {place[-1]: number for number, (_, place) in enumerate(places)}
    found: list[Record] = []
    for row, letter, (wins, place) in zip(group, letters(len(group)), places, strict=True):
        first, last = (wins.rank(place, rivals) if place[-1] in rivals else None) or (None, None)
        cell = shared.mean_cell(comparisons, row, row_of)
        marks = {"letter": letter, "first": first, "last": last, "cell": cell, "group": str(place[:-1])}
        found.append(dict(row) | marks)
    return found


def _competes(analysis: Analysis, row: Record) -> bool:
    """Whether a row can win: the ceiling is told where the object is, and nothing undefined has a place."""
    return analysis.kind(row["explainer"]) != "ceiling" and not math.isnan(row["mean"])


def _grid(analysis: Analysis, records: list[Record], anchored: dict[tuple[str, ...], Record], mapless: bool) -> Grid:  # noqa: FBT001
    """Columns that hold nothing are left out; the letter stands before the names that are compared."""
    columns = [
        *(Column("data", spans=True), Column("metric", spans=True), Column("model", spans=not mapless)),
        *(Column("explainer"), Column("rank"), Column("mean [95 %]"), Column("anchored [95 %]")),
        *(Column(head, align="right") for head in SPREADS.values()),
        *(Column("n", align="right"), Column("undefined", align="right"), Column("note", align="prose")),
    ]
    place = 2 if mapless else 3
    columns.insert(place, Column(""))
    rows = []
    for row in records:
        cells = [
            *shared.place_cells(analysis, row),
            *(_rank(row), row["cell"], _anchored(anchored.get(shared.key(row)))),
            *(_spread(row, name) for name in SPREADS),
            *(Cell.count(row["n"]), Cell.count(row["undefined"]), Cell.name(row["note"])),
        ]
        cells.insert(place, Cell(row["letter"]))
        rows.append(Row(tuple(cells), row["group"], analysis.kind(row["explainer"])))
    return filled("Models" if mapless else "Explainers of each model", columns, rows, stub=5)


def _rank(row: Record) -> Cell:
    """`2` or `2-4`."""
    if row["first"] is None:
        return Cell()
    first, last = row["first"], row["last"]
    return Cell(f"{first}" if first == last else f"{first}-{last}", sort=first + last / 10_000)


def _anchored(row: Record | None) -> Cell:
    return Cell() if row is None else Cell.of(row["anchored"], row["low"], row["high"])


def _spread(row: Record, name: str) -> Cell:
    """A standard deviation to two digits."""
    value = float(row.get(name, math.nan))
    return Cell() if math.isnan(value) else Cell(f"{value:#.2g}", sort=value)
