"""Mean ranks over images, with Friedman's test and the critical difference in the notes."""

import math
from collections.abc import Sequence

import pandas as pd

from xai_bench.reports.analysis import Analysis, unique
from xai_bench.reports.tables import shared
from xai_bench.reports.tables.shared import Record
from xai_bench.reports.tables.sheet import Cell, Column, Grid, Row, Sheet

KEYS = ["across", "data", "metric", "fixed"]
SHOWN = 40  # tests in the notes; all of them are in the csv
CAPTION = (
    "Mean rank over the images on which every row of the group is defined; 1 is best, ties share. Bold: closer to the "
    "best rank than the critical difference (Nemenyi), where ranks differ at all by Friedman's test at 5 %; the notes "
    "give both."
)


def ranks(analysis: Analysis) -> Sheet | None:
    """Explainers of a model below each other, metrics beside each other; None where nothing was ranked."""
    frame = analysis.ranks.merge(analysis.friedman, on=KEYS, how="left", suffixes=("", "_friedman"))
    if frame.empty:
        return None
    frame["top"] = _top(analysis, frame)
    tests = shared.records(analysis.friedman)
    more = f"{len(tests) - SHOWN} more tests are in ranks.csv." if len(tests) > SHOWN else ""
    records = shared.records(frame)
    return Sheet(
        name="ranks",
        heading="Mean ranks",
        caption=shared.sentences(CAPTION, more, shared.CONTROLS),
        grids=tuple(
            _grid(analysis, data, [row for row in records if row["data"] == data]) for data in unique(frame["data"])
        ),
        notes=tuple(_note(analysis, test) for test in tests[:SHOWN]),
        frame=frame,
    )


def _top(analysis: Analysis, frame: pd.DataFrame) -> "pd.Series[bool]":
    """Within the critical difference of the best; nothing where the ranks may all be alike, or all are that close.

    A ceiling is told where the object is, and wins nothing.
    """
    rivals = frame["rank"].mask(frame["name"].map(analysis.kind) == "ceiling")
    best = rivals.groupby([frame[name] for name in KEYS], sort=False, observed=True)
    close = (rivals - best.transform("min")) <= frame["critical_difference"]
    told = (frame["p"] < 0.05) & (best.transform("max") - best.transform("min") > frame["critical_difference"])
    marks: pd.Series[bool] = close & told
    return marks


def _grid(analysis: Analysis, data: str, records: Sequence[Record]) -> Grid:
    cells = {(row["metric"], row["fixed"], row["name"]): row for row in records}
    metrics = tuple(dict.fromkeys(row["metric"] for row in records))
    models = list(dict.fromkeys(row["fixed"] for row in records))
    order = analysis.floor_last(dict.fromkeys(row["name"] for row in records))
    pairs = {(row["fixed"], row["name"]) for row in records}
    rows = [
        Row(
            (
                *(Cell.name(model), Cell.name(analysis.marked(name))),
                *(_cell(cells.get((metric, model, name))) for metric in metrics),
            ),
            model,
            analysis.kind(name),
        )
        for model in models
        for name in order
        if (model, name) in pairs
    ]
    heads = (Column("model", spans=True), Column("explainer"), *(Column(analysis.arrow(name)) for name in metrics))
    return Grid(data, heads, tuple(rows), stub=2, matrix=True)


def _cell(row: Record | None) -> Cell:
    return (
        Cell()
        if row is None or math.isnan(row["rank"])
        else Cell(f"{row['rank']:.2f}", top=bool(row["top"]), sort=row["rank"])
    )


def _note(analysis: Analysis, test: Record) -> str:
    """`deletion ↓, resnet18, planted: chi2 = 12.3, p = 0.002, 4 names, n = 60; critical difference 0.61`."""
    where = f"{analysis.arrow(test['metric'])}, {test['fixed']}, {test['data']}"
    if math.isnan(test["p"]):
        return f"{where}: {test['note'] or 'not tested'}"
    sizes = f"{round(test['names'])} names, n = {round(test['n'])}"
    found = f"Friedman's chi-squared = {test['statistic']:.3g}, p = {test['p']:.2g}, {sizes}"
    aside = f"; {test['note']}" if test["note"] else ""
    return f"{where}: {found}; critical difference {test['critical_difference']:.2f}{aside}"
