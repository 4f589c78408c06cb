"""The matrix of scores: metrics beside each other, models and explainers below each other."""

import sys
from itertools import groupby

import pandas as pd

from xai_bench.reports.analysis import Analysis, Block
from xai_bench.reports.tables import shared
from xai_bench.reports.tables.marks import letters
from xai_bench.reports.tables.shared import Comparisons, Record
from xai_bench.reports.tables.sheet import Cell, Column, Grid, Row, Sheet

VALUES = ["mean", "low", "high", "n", "undefined"]


def scores(analysis: Analysis) -> Sheet:
    """Every cell of the run, with who beats whom; metrics without maps come first and compare models."""
    records = shared.records(analysis.summary)
    cells = {(row["data"], row["metric"], row["model"], row["explainer"]): row for row in records}
    comparisons = Comparisons.made(analysis)
    blocks = analysis.blocks(wide=sys.maxsize)
    return Sheet(
        name="scores",
        heading="Scores",
        caption=shared.sentences(
            shared.legend(analysis),
            shared.COUNTS,
            shared.untested(analysis),
            shared.limited(comparisons),
            shared.seeded(analysis),
        ),
        grids=tuple(_grid(analysis, block, cells, comparisons) for block in blocks),
        notes=shared.notes(analysis),
        frame=_wide(analysis.summary),
    )


def _grid(
    analysis: Analysis, block: Block, cells: dict[tuple[str, str, str, str], Record], comparisons: Comparisons
) -> Grid:
    mapless = all(explainer == "none" for _, explainer in block.rows)
    of_data = analysis.summary[analysis.summary["data"] == block.data]
    columns = [_column(analysis, metric, of_data[of_data["metric"] == metric]) for metric in block.metrics]
    scored = {metric: _scored(of_data[of_data["metric"] == metric]) for metric in block.metrics}
    rows = []
    for group, members in groupby(block.rows, key=lambda row: "" if mapless else row[0]):
        lines = list(members)
        row_of = {model if mapless else explainer: number for number, (model, explainer) in enumerate(lines)}
        for letter, (model, explainer) in zip(letters(len(lines)), lines, strict=True):
            found = [(cells.get((block.data, metric, model, explainer)), scored[metric]) for metric in block.metrics]
            values = [Cell() if row is None else _cell(row, usual, comparisons, row_of) for row, usual in found]
            name = [] if mapless else [Cell.name(shared.shown(analysis, explainer))]
            stub = [Cell(letter), Cell.name(model)] if mapless else [Cell.name(model), Cell(letter), *name]
            rows.append(Row((*stub, *values), group, analysis.kind(explainer)))
    head = ["", "model"] if mapless else ["model", "", "explainer"]
    stubs = [Column(name, spans=name == "model" and not mapless) for name in head]
    return Grid(block.data, (*stubs, *columns), tuple(rows), stub=len(stubs), matrix=True)


def _column(analysis: Analysis, metric: str, cells: pd.DataFrame) -> Column:
    return Column(analysis.arrow(metric), f"n = {_scored(cells)}", shared.metric_numbers(analysis)[metric])


def _scored(cells: pd.DataFrame) -> int:
    """Images scored in most cells, undefined ones counted; a cell with another number says so."""
    return int((cells["n"] + cells["undefined"]).mode().max())


def _cell(row: Record, usual: int, comparisons: Comparisons, row_of: dict[str, int]) -> Cell:
    cell, count = shared.mean_cell(comparisons, row, row_of), int(row["n"] + row["undefined"])
    aside = [f"n = {count}"] * (count != usual)
    if cell.text != "undefined" and row["undefined"]:
        aside.append(f"{int(row['undefined'])} undefined")
    return Cell(cell.text, cell.bounds, cell.top, cell.beats, tuple(aside), cell.sort)


def _wide(summary: pd.DataFrame) -> pd.DataFrame:
    """One row per data set, model and explainer, five columns per metric: its mean, low, high, n, undefined."""
    keys = ["data", "model", "explainer"]
    metrics = summary["metric"].unique()
    wide = summary.pivot(index=keys, columns="metric", values=VALUES)  # noqa: PD010 - one value per cell, none to add
    wide = wide[[(value, metric) for metric in metrics for value in VALUES]]
    wide.columns = [f"{metric} {value}" for metric in metrics for value in VALUES]
    return wide.loc[list(dict.fromkeys(summary[keys].itertuples(index=False, name=None)))].reset_index()
