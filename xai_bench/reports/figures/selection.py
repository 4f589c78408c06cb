"""What is drawn where not all fits: the best by their places, and the controls."""

from collections.abc import Sequence

import pandas as pd

from xai_bench.reports.analysis import Analysis, unique
from xai_bench.reports.style import Look, looks

ROWS, CONTROL_ROWS = 30, 10  # of a panel with a row per model and explainer
LINES, CONTROL_LINES = 12, 4  # of a panel with a line per explainer or model

REFERENCES = ("control", "ceiling")  # kinds of explainers that compete with none

Place = tuple[str, str]  # (model, explainer)


def controls(analysis: Analysis) -> frozenset[str]:
    """Explainers that are there to compare with: they know nothing, or were told where the object is."""
    return frozenset(name for name in unique(analysis.summary["explainer"]) if analysis.kind(name) in REFERENCES)


def ranking(cells: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The distinct `keys` of rows of `summary`, best first, by their mean place among the means of each metric.

    Metrics without a direction say nothing; what has no place comes last, in the order of the run.
    """
    stated = cells[cells["better"].isin(["higher", "lower"])]
    signed = stated["mean"].where(stated["better"] == "higher", -stated["mean"])
    place = signed.groupby([stated["data"], stated["metric"]], observed=True).rank(ascending=False, pct=True)
    named = cells[list(keys)].assign(place=place)
    means = named.groupby(list(keys), sort=False, observed=True)["place"].mean().reset_index()
    return means.sort_values("place", kind="stable", na_position="last")


def rows(analysis: Analysis, cells: pd.DataFrame, places: Sequence[Place]) -> tuple[Place, ...]:
    """At most the best `ROWS` of (model, explainer) and the best `CONTROL_ROWS` controls, in the order given."""
    if len(places) <= ROWS:
        return tuple(places)
    known = controls(analysis)
    best = [tuple(map(str, pair)) for pair in ranking(cells, ["model", "explainer"])[["model", "explainer"]].to_numpy()]
    kept = {*[pair for pair in best if pair[1] not in known][:ROWS]}
    kept |= {*[pair for pair in best if pair[1] in known][:CONTROL_ROWS]}
    return tuple(pair for pair in places if pair in kept)


def explainers(analysis: Analysis) -> tuple[str, ...]:
    """Those that get a line: at most the best `LINES` and `CONTROL_LINES` controls, controls last."""
    cells = analysis.summary[analysis.summary["explainer"] != "none"]
    return analysis.floor_last(_few(cells, "explainer", controls(analysis)))


def models(analysis: Analysis) -> tuple[str, ...]:
    """Those that get a line: at most the best `LINES`."""
    return _few(analysis.summary, "model", frozenset())


def styles(analysis: Analysis) -> dict[str, Look]:
    """How each of `explainers` looks, in every figure."""
    return looks(explainers(analysis), controls(analysis))


def _few(cells: pd.DataFrame, column: str, floor: frozenset[str]) -> tuple[str, ...]:
    names = unique(cells[column])
    if len(names) <= LINES:
        return names
    best = list(map(str, ranking(cells, [column])[column]))
    kept = {name for name in best if name not in floor}
    top = [name for name in best if name in kept][:LINES] + [name for name in best if name in floor][:CONTROL_LINES]
    return tuple(name for name in names if name in top)


def left_out(shown: int, there: int, what: str) -> str:
    """`12 of 50 explainers: the best by their mean place, and controls.`, or "" where all are there."""
    return f"{shown} of {there} {what}: the best by their mean place, and controls." if shown < there else ""


def noted(*parts: str) -> str:
    """What stands below a figure, a sentence each."""
    return " ".join(part[0].upper() + part[1:].removesuffix(".") + "." for part in parts if part)
