"""Which rows of a summary are not worse than the best, by test and not by mean."""

import pandas as pd


def top_marks(summary: pd.DataFrame, explainers: pd.DataFrame, models: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows of `summary` are not worse than the best of their model and metric, by the two tables of `paired`.

    Explainers are compared within a model; a metric without maps compares models. Where no row is shown to be worse
    than the best, nothing is known about the order and no row is marked; nor is a row that was not tested against the
    best.
    """
    marks = pd.Series(data=False, index=summary.index)
    mapless = summary["explainer"] == "none"
    for rows, table, name, fixed in (
        (summary[~mapless], explainers, "explainer", "model"),
        (summary[mapless], models, "model", "explainer"),
    ):
        ranked = rows[rows["better"].isin(["higher", "lower"]) & rows["mean"].notna()]
        keys = [ranked["data"], ranked["metric"], ranked[fixed]]
        height = ranked["mean"].where(ranked["better"] == "higher", -ranked["mean"])
        best = ranked.loc[height.groupby(keys, sort=False, observed=True).idxmax(), ["data", "metric", fixed, name]]
        rivals = ranked.reset_index().merge(best, on=["data", "metric", fixed], suffixes=("", "_best"))
        pairs = list(rivals[["data", "metric", fixed, f"{name}_best", name]].itertuples(index=False, name=None))
        lost, tested = _losses(table), _tested(table)
        beaten = pd.Series([pair in lost for pair in pairs], index=rivals["index"], dtype=bool)
        near = pd.Series([pair[-2] == pair[-1] or pair in tested for pair in pairs], index=beaten.index, dtype=bool)
        known = beaten.groupby(keys, sort=False, observed=True).transform("any") if len(beaten) else beaten
        marks[beaten.index] = ~beaten & known & near
    return marks


def _tested(table: pd.DataFrame) -> set[tuple[str, ...]]:
    """(data, metric, fixed, one, other) of every row with a test, both ways round."""
    made = table[table["p"].notna()]
    place = [made[name] for name in ("data", "metric", "fixed")]
    return {*zip(*place, made["a"], made["b"], strict=True), *zip(*place, made["b"], made["a"], strict=True)}


def _losses(table: pd.DataFrame) -> set[tuple[str, ...]]:
    """(data, metric, fixed, winner, loser) of every decided row."""
    won = table[table["better"] != ""]
    columns = won["data"], won["metric"], won["fixed"]
    by_a = won["better"] == "a"
    winners, losers = won["a"].where(by_a, won["b"]), won["b"].where(by_a, won["a"])
    return set(zip(*columns, winners, losers, strict=True))
