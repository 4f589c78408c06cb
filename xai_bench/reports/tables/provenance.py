"""Where the numbers come from: versions, machine, fingerprints, seeds."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from xai_bench.reports.analysis import Analysis, unique
from xai_bench.reports.tables.sheet import Cell, Column, Grid, Row, Sheet

STAMPS = ("seed", "precision", "device", "fingerprints")


def provenance(analysis: Analysis) -> Sheet:
    """Whatever run.json says, and what every row says."""
    rows = list(facts(analysis))
    grid = Grid(
        title="",
        columns=(Column("fact"), Column("value", align="prose")),
        rows=tuple(Row((Cell.name(name), Cell.name(value)), name.split(".")[0]) for name, value in rows),
        stub=1,
    )
    return Sheet(
        name="provenance",
        heading="Provenance",
        caption="What the run says of itself; rows.* is what stands in every row of the scores.",
        grids=(grid,),
        frame=pd.DataFrame(rows, columns=["fact", "value"]),
    )


def facts(analysis: Analysis) -> Iterator[tuple[str, str]]:
    """(dotted name, value) of everything known; seconds are no provenance."""
    yield from _flat({name: value for name, value in analysis.run.info.items() if name != "costs"})
    for name in STAMPS:
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
