"""Findings in words, written from the numbers; where a test cannot tell, the sentence says so."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from xai_bench.digits import number, ranged
from xai_bench.grammar import quoted
from xai_bench.reports.analysis import Analysis, unique

# What the winner does; the rest reads "<a> <phrase> <b>".
PHRASES: Mapping[str, str] = {
    "top1": "is more accurate than",
    "accuracy": "is right more often with parts removed than",
    "unchanged_predictions": "keeps its prediction more often with parts removed than",
    "pointing_game": "points at the object more often than",
    "energy_pointing_game": "has more of its relevance on the object than",
    "iou": "overlaps the object more than",
    "soft_iou": "overlaps the object more than",
}
ORDER = (
    *("top1", "accuracy", "pointing_game", "energy_pointing_game", "relevance_mass", "iou", "soft_iou"),
    *("deletion", "insertion"),
)


Row = Mapping[str, Any]
Pairs = Mapping[tuple[str, str, str], Row]  # by model, a and b


class Finding(NamedTuple):
    """One sentence and what it amounts to."""

    verdict: str  # better, worse (than a control), undecided, note, undefined
    text: str


def findings(analysis: Analysis) -> tuple[Finding, ...]:
    """Models by accuracy, explainers against the controls, most telling metrics first; then what is undefined."""
    metrics = sorted(unique(analysis.summary["metric"]), key=lambda metric: telling(analysis, metric))
    spoken = [f for metric in metrics if _stated(analysis, metric) for f in _of_metric(analysis, metric)]
    notes = [Finding("note", note) for note in analysis.run.info.get("notes", ())]
    return (*spoken, *notes, *_undefined(analysis))


def _of_metric(analysis: Analysis, metric: str) -> Iterator[Finding]:
    for data in unique(analysis.summary["data"]):
        here = (analysis.summary["data"] == data) & (analysis.summary["metric"] == metric)
        cells = analysis.summary[here & analysis.summary["mean"].notna()]
        yield from _models(analysis, cells[cells["explainer"] == "none"])
        groups: dict[str, list[Row]] = {}
        for row in _records(cells[cells["explainer"] != "none"]):
            groups.setdefault(str(row["model"]), []).append(row)
        pairs = _pairs(analysis, data, metric)
        for group in groups.values():
            yield from _best_against_floor(analysis, group, pairs)


def _models(analysis: Analysis, cells: pd.DataFrame) -> Iterator[Finding]:
    """Model against model, for a metric without maps."""
    table = analysis.models
    for (data, metric), _ in cells.groupby(["data", "metric"], sort=False, observed=True):
        rows = table[(table["data"] == data) & (table["metric"] == metric) & (table["fixed"] == "none")]
        for row in _records(rows.dropna(subset="difference")):
            yield _versus_models(analysis, row)


def _versus_models(analysis: Analysis, row: Row) -> Finding:
    ahead = row if _ahead(analysis, row) else _turned(row)
    size = f"{ranged(ahead['difference'], ahead['low'], ahead['high'], signed=True)}, n = {ahead['n']}"
    phrase = _phrase(analysis, str(row["metric"]))
    if row["better"]:
        return Finding("better", f"On {quoted(str(row['data']))}, {ahead['a']} {phrase} {ahead['b']}: {size}.")
    words = f"whether {ahead['a']} {phrase} {ahead['b']}: {size}, {_chance(row)}"
    return Finding("undecided", f"On {quoted(str(row['data']))}, the images cannot tell {words}.")


def _best_against_floor(analysis: Analysis, cells: Sequence[Row], pairs: Pairs) -> Iterator[Finding]:
    """The explainer with the best mean of one model, and its own mask, against each control and the others.

    The ceiling is told where the object is, so it wins nothing and nothing is said against it.
    """
    kinds = {row["explainer"]: analysis.kind(row["explainer"]) for row in cells}
    controls = [row for row in cells if kinds[row["explainer"]] == "control"]
    others = [row for row in cells if kinds[row["explainer"]] not in ("control", "ceiling")]
    if not others:
        return
    sign = 1 if others[0]["better"] == "lower" else -1
    best, *rest = sorted(others, key=lambda row: sign * row["mean"])
    rivals = [row for other in rest if (row := _between(pairs, best, other)) is not None]
    yield from _against_floor(analysis, best, controls, _rivals(rivals), pairs)
    for row in rest:
        if kinds[row["explainer"]] == "intrinsic":
            yield from _against_floor(analysis, row, controls, "", pairs)


def _against_floor(
    analysis: Analysis, best: Row, controls: Sequence[Row], ending: str, pairs: Pairs
) -> Iterator[Finding]:
    floor = [row for control in controls if (row := _between(pairs, best, control)) is not None]
    who = f"{best['explainer']} of {quoted(str(best['model']))}"
    for verdict in ("a", "b", ""):
        rows = [row for row in floor if row["better"] == verdict]
        if rows:
            yield _floor_finding(analysis, who, rows, ending)
    if not floor:
        size = ranged(best["mean"], best["low"], best["high"])
        said = f"{who} reaches {size} in {best['metric']}; no control was scored beside it"
        text = f"On {quoted(str(best['data']))}, {said}."
        yield Finding("undecided", text)


def _floor_finding(analysis: Analysis, who: str, rows: list[Row], ending: str) -> Finding:
    """The best explainer against those controls that it beats, that beat it, or that it cannot be told from."""
    data, metric = quoted(str(rows[0]["data"])), str(rows[0]["metric"])
    against = " and ".join(f"{row['b']} ({_numbers(row)})" for row in rows)
    phrase = _phrase(analysis, metric)
    match rows[0]["better"]:
        case "a":
            return Finding("better", f"On {data}, {who} {phrase} {against}{ending}.")
        case "b":
            return Finding(
                "worse",
                f"On {data}, {who} is worse in {analysis.arrow(metric)} than the control {against}.",
            )
    return Finding("undecided", f"On {data}, the images cannot tell whether {who} {phrase} {against}.")


def _rivals(rows: list[Row]) -> str:
    """Which other explainers the best one cannot be told from."""
    if not rows:
        return ""
    close = [str(row["b"]) for row in rows if row["better"] != "a"]
    if not close:
        return f"; it is the best of {len(rows) + 1} explainers"
    return f"; it cannot be told from {' or '.join(close)}"


def _numbers(row: Row) -> str:
    ends = row["low"], row["high"]
    size = ranged(row["difference"], row["low"], row["high"], signed=True)
    means = f"{number(row['mean_a'], *ends)} against {number(row['mean_b'], *ends)}"
    return f"{means}, difference {size}, n = {row['n']}" + ("" if row["better"] else f", {_chance(row)}")


def _chance(row: Row) -> str:
    return f"p = {row['p_holm']:.2g} after Holm"


def _pairs(analysis: Analysis, data: str, metric: str) -> Pairs:
    """The paired differences of a metric on a data set; pairs without an image that has both are left out."""
    table = analysis.explainers
    here = table[(table["data"] == data) & (table["metric"] == metric)].dropna(subset="difference")
    return {(str(row["fixed"]), str(row["a"]), str(row["b"])): row for row in _records(here)}


def _between(pairs: Pairs, best: Row, other: Row) -> Row | None:
    """The paired difference best - other; None where no image has both."""
    model, a, b = str(best["model"]), str(best["explainer"]), str(other["explainer"])
    if (model, a, b) in pairs:
        return pairs[model, a, b]
    return _turned(pairs[model, b, a]) if (model, b, a) in pairs else None


def _turned(row: Row) -> Row:
    """The same comparison seen from b."""
    other = {"a": "b", "b": "a"}.get(str(row["better"]), "")
    sides = {"a": row["b"], "b": row["a"], "mean_a": row["mean_b"], "mean_b": row["mean_a"], "better": other}
    return {**row, **sides, "difference": -row["difference"], "low": -row["high"], "high": -row["low"]}


def _records(frame: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _undefined(analysis: Analysis) -> Iterator[Finding]:
    """One sentence for all cells of a metric that have as many undefined scores for the same reasons."""
    rows = analysis.summary[analysis.summary["undefined"] > 0].assign(scored=lambda rows: rows["n"] + rows["undefined"])
    same = ["data", "metric", "undefined", "scored", "note"]
    for (data, metric, undefined, scored, note), cells in rows.groupby(same, sort=False, observed=True):
        who = list(_who(cells))
        named = ", ".join(who) if len(who) <= 4 else f"{', '.join(who[:3])} and {len(who) - 3} more"
        yield Finding(
            "undefined", f"On {quoted(str(data))}, {metric} is undefined for {undefined} of {scored}: {note}; {named}."
        )


def _who(cells: pd.DataFrame) -> Iterator[str]:
    for model, explainer in cells[["model", "explainer"]].itertuples(index=False):
        yield quoted(str(model)) if explainer == "none" else f"{explainer} of {quoted(str(model))}"


def _phrase(analysis: Analysis, metric: str) -> str:
    return PHRASES.get(analysis.card(metric)["name"], f"is better in {analysis.arrow(metric)} than")


def _ahead(analysis: Analysis, row: Row) -> bool:
    return bool((row["difference"] >= 0) == (analysis.card(str(row["metric"]))["better"] == "higher"))


def _stated(analysis: Analysis, metric: str) -> bool:
    return analysis.card(metric)["better"] in ("higher", "lower")


def telling(analysis: Analysis, metric: str) -> int:
    """A metric's place among the others: the most telling first."""
    name = analysis.card(metric)["name"]
    return ORDER.index(name) if name in ORDER else len(ORDER)
