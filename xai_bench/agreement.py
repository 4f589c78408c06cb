"""Do metrics agree? Ranks of explainers under each, Kendall's tau between them, and which conclusions survive.

Pure functions of stored scores. Metrics of a whole set and metrics without maps rank no explainers and are left out.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from xai_bench.runs.run import Run
from xai_bench.stats import paired

PLACES = ["data", "model", "metric", "explainer", "mean", "rank", "n"]
PAIRS = ["data", "model", "a", "b", "for_a", "for_b", "undecided", "verdict"]
SURVIVES, UNOPPOSED = "survives every metric", "no metric against it"
REVERSED, OPEN = "depends on the metric", "undecided everywhere"


def places(run: Run) -> pd.DataFrame:
    """Mean and rank (1 = best, ties share the mean rank) of each explainer under each metric.

    Means are over the images on which every explainer of the model is defined, so that all are judged on the same.
    """
    rows: list[dict[str, Any]] = []
    scores = run.scores[(run.scores["explainer"] != "none") & (run.scores["sample"] != "*")]
    for key, cell in scores.groupby(["data", "model", "metric"], sort=False, observed=True):
        better = run.cards.get(str(key[2]), {}).get("better")
        if better not in ("higher", "lower"):
            continue
        wide = cell.pivot(index="sample", columns="explainer", values="score")[list(cell["explainer"].unique())]  # noqa: PD010
        common = wide[np.isfinite(wide).all(axis=1)]
        means = pd.Series(common.to_numpy(np.float64).mean(axis=0) if len(common) else np.nan, index=wide.columns)
        ranks = means.round(12).rank(ascending=better == "lower")
        rows += [
            dict(zip(PLACES, (*key, name, means[name], ranks[name], len(common)), strict=True)) for name in wide.columns
        ]
    return pd.DataFrame(rows, columns=PLACES)


def tau(table: pd.DataFrame, one: tuple[str, Sequence[str]], other: tuple[str, Sequence[str]]) -> float:
    """Kendall's tau-b between two orders of explainers, each (metric, explainers), mean over data and models.

    The explainers of both stand for each other by their place; nan where an order is all ties or has fewer than two.
    """
    found = [
        kendalltau(first, second).statistic
        for _, cell in table.groupby(["data", "model"], sort=False, observed=True)
        for first, second in [(_ranks(cell, *one), _ranks(cell, *other))]
        if len(first) > 1 and np.isfinite([*first, *second]).all()
    ]
    defined = [value for value in found if np.isfinite(value)]
    return float(np.mean(defined)) if defined else np.nan


def taus(table: pd.DataFrame) -> pd.DataFrame:
    """Tau between every two metrics, (metrics x metrics), mean over data and models."""
    metrics, explainers = list(table["metric"].unique()), list(table["explainer"].unique())
    found = [[tau(table, (a, explainers), (b, explainers)) for b in metrics] for a in metrics]
    return pd.DataFrame(found, index=metrics, columns=metrics)


def conclusions(run: Run, metrics: Sequence[str]) -> pd.DataFrame:
    """For every two explainers of a model: under how many metrics each is better, and whether that survives them all.

    A metric speaks for an explainer where `stats.paired` names it better (Wilcoxon, Holm-corrected, and the interval).
    """
    table = paired(run, "explainer")
    table = table[table["metric"].isin(list(metrics))]
    rows = [
        _conclusion(key, cell) for key, cell in table.groupby(["data", "fixed", "a", "b"], sort=False, observed=True)
    ]
    return pd.DataFrame(rows, columns=PAIRS)


def reversals(run: Run, one: str, other: str) -> int:
    """Pairs of explainers for which the two metrics name different ones as better."""
    found = conclusions(run, [one, other])
    return int((found["verdict"] == REVERSED).sum())


def best(table: pd.DataFrame) -> Iterator[tuple[str, str, str, str]]:
    """(data, model, metric, explainer) of the best mean."""
    for (data, model, metric), cell in table.groupby(["data", "model", "metric"], sort=False, observed=True):
        ranked = cell.dropna(subset="mean").sort_values("rank", kind="stable")
        if len(ranked):
            yield str(data), str(model), str(metric), str(ranked.iloc[0]["explainer"])


def _ranks(cell: pd.DataFrame, metric: str, explainers: Sequence[str]) -> list[float]:
    """Ranks in the order of the explainers that are there."""
    found = cell[cell["metric"] == metric].set_index("explainer")["rank"]
    return [float(found[name]) for name in explainers if name in found.index]


def _conclusion(key: Any, cell: pd.DataFrame) -> dict[str, Any]:
    counts = [int((cell["better"] == side).sum()) for side in ("a", "b", "")]
    for_a, for_b, undecided = counts
    decided = max(for_a, for_b)
    verdict = REVERSED if min(for_a, for_b) else OPEN if not decided else UNOPPOSED if undecided else SURVIVES
    return dict(zip(PAIRS, (*key, *counts, verdict), strict=True))
