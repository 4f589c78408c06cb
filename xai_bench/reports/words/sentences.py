"""One sentence per comparison: who beats whom on what, by how much, on how many images, and how sure that is."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd

from xai_bench.digits import ranged
from xai_bench.grammar import about, counted, quoted
from xai_bench.reports.analysis import Analysis

Verdict = Literal["better", "worse", "different", "equal", "undecided", "untested", "undefined"]
LEVEL = 0.05


def verdict(row: "pd.Series[Any] | Mapping[str, Any]") -> Verdict:
    """What a row of `stats.paired` says of a against b; `different` where the metric does not say which is better."""
    if not row["n"] or math.isnan(row["difference"]):
        return "undefined"
    if math.isnan(row["p_holm"]):
        return "untested"
    if row["better"]:
        return "better" if row["better"] == "a" else "worse"
    if row["difference"] == 0 and (row["low"] == row["high"] or row.get("sd_images") == 0):
        return "equal"  # hits have an interval even where no image differs
    told = row["p_holm"] < LEVEL and (row["low"] > 0 or row["high"] < 0)
    return "different" if told and not _at_odds(row) else "undecided"


def _at_odds(row: "pd.Series[Any] | Mapping[str, Any]") -> bool:
    """Whether the mean is for one and the ranks, of which the test is, are for the other."""
    return bool(row.get("effect", math.nan) * row["difference"] <= 0)


def comparison(row: "pd.Series[Any] | Mapping[str, Any]", card: Mapping[str, Any]) -> str:
    """A row of `stats.paired` as a sentence, the winner first; `card` is the metric's.

    "On planted, gradcam beats ig on deletion for resnet18: -0.03 [-0.05, -0.01], n = 200."
    """
    del card  # the direction is in `better`
    a, b, where = quoted(str(row["a"])), quoted(str(row["b"])), f"on {row['metric']}{_held(row)}"
    match verdict(row):
        case "better" | "worse" as found:
            said = f"{a} beats {b}" if found == "better" else f"{b} beats {a}"
            text = f"{said} {where}: {_size(row, turned=found == 'worse')}"
        case "different":
            high, low = (a, b) if row["difference"] > 0 else (b, a)
            text = f"{high} scores higher than {low} {where}, of which no direction is better: "
            text += _size(row, turned=row["difference"] < 0)
        case "equal":
            text = f"{a} and {b} score the same {where}, n = {row['n']:,}"
        case "undecided":
            text = f"{a} cannot be told from {b} {where}: {_size(row)}, {_chance(row)}{_why(row)}"
        case "untested":
            sides = f"{row['mean_a']:.4g} for {a}, {row['mean_b']:.4g} for {b}"
            text = f"{row['metric']}{_held(row)} is one number of the whole set, which has no paired test: {sides}"
        case "undefined":
            text = f"{a} cannot be compared with {b} {where}: no image has a score of both"
    return f"On {quoted(str(row['data']))}, {text}{_left_out(row)}."


def sentences(analysis: Analysis) -> tuple[str, ...]:
    """Every comparison of a run: models first, then explainers."""
    return tuple(
        comparison({str(name): value for name, value in row.items()}, analysis.card(str(row["metric"])))
        for table in (analysis.models, analysis.explainers)
        for row in with_tests(table).to_dict("records")
    )


def with_tests(table: pd.DataFrame) -> pd.DataFrame:
    """Paired rows with `tests`: over how many of them Holm's correction of the row went."""
    return table.assign(tests=table.groupby("metric", observed=True)["p"].transform("count"))


def _held(row: "pd.Series[Any] | Mapping[str, Any]") -> str:
    """What both have in common: the model, or the explainer."""
    if row["fixed"] == "none":
        return ""
    fixed = quoted(str(row["fixed"]))
    return f" with {fixed}" if row["across"] == "model" else f" for {fixed}"


def _size(row: "pd.Series[Any] | Mapping[str, Any]", *, turned: bool = False) -> str:
    """`-0.03 [-0.05, -0.01], n = 200`, seen from the one that is named first."""
    ends = (-row["difference"], -row["high"], -row["low"]) if turned else (row["difference"], row["low"], row["high"])
    seeds = int(row.get("seeds", 1))
    agreed = f", {int(row['agree'])} of {seeds} seeds agree" if seeds > 1 else ""
    return f"{ranged(*ends, signed=True)}, n = {row['n']:,}{agreed}"


def _chance(row: "pd.Series[Any] | Mapping[str, Any]") -> str:
    """`p = 0.21`, and where the correction alone leaves it open, both."""
    if row["p"] >= LEVEL or row["p_holm"] < LEVEL:
        return f"p = {row['p_holm']:.2g}"
    tests = f" over {counted(int(row['tests']), 'comparison')}" if "tests" in row else ""
    return f"by itself p = {row['p']:.2g}, after Holm{tests} {row['p_holm']:.2g}"


def _why(row: "pd.Series[Any] | Mapping[str, Any]") -> str:
    """What stands in the way, or how many images would tell the difference."""
    if row["n"] == 1:
        return "; one image tells nothing"
    if row["p_holm"] < LEVEL:
        return ", but " + ("mean and ranks disagree" if row["low"] > 0 or row["high"] < 0 else "the interval holds 0")
    more = lacking(row)
    return "" if math.isnan(more) else f"; {about(more)} images would be needed to tell it by itself"


def lacking(row: "pd.Series[Any] | Mapping[str, Any]") -> float:
    """Images that would tell what is undecided, before Holm; nan where that is no more than there are."""
    needed = float(row.get("needed", math.nan))
    return needed if verdict(row) == "undecided" and needed > row["n"] and math.isfinite(needed) else math.nan


def _left_out(row: "pd.Series[Any] | Mapping[str, Any]") -> str:
    """Pairs without a difference; `lost`, where it is known, are those that b had and a has not."""
    if not row["n"] or not row["undefined"]:
        return ""
    lost = int(row.get("lost", 0))
    became = f", {lost:,} of them only for {row['a']}" if lost else ""
    return f"; {counted(int(row['undefined']), 'image')} undefined{became}"
