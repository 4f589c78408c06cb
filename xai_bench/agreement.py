"""Do metrics agree, do models? Ranks of explainers, Kendall's tau between them, and which conclusions survive.

Pure functions of stored scores. Metrics of a whole set and metrics without maps rank no explainers and are left out.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from xai_bench.runs.run import Run
from xai_bench.stats import Numbers, paired
from xai_bench.stats.blocks import Block, blocks, by_image, in_order_of

PLACES = ["data", "model", "metric", "explainer", "mean", "rank", "n"]
PAIRS = ["data", "model", "a", "b", "for_a", "for_b", "undecided", "verdict"]
SURVIVES, UNOPPOSED = "survives every metric", "no metric against it"
REVERSED, OPEN = "depends on the metric", "undecided everywhere"


def places(run: Run) -> pd.DataFrame:
    """Mean and rank (1 = best, ties share the mean rank) of each explainer under each metric.

    Means are over the images on which every explainer of the model is defined, so that all are judged on the same.
    """
    parts = [_places(block) for block in blocks(run) if block.sign]
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=PLACES)
    return in_order_of(found[PLACES], run.scores, ["data", "model", "metric"])


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
    """Tau between every two metrics, (metrics x metrics), mean over data and models: do metrics agree on explainers?"""
    return _mean_taus(table, "metric", ["data", "model"])


def model_taus(table: pd.DataFrame) -> pd.DataFrame:
    """Tau between every two models, (models x models), mean over data and metrics: is an order that of one model?

    Kendall's tau-b of the ranks of the explainers that both models have; nan where those are all ties or fewer than
    two.
    """
    return _mean_taus(table, "model", ["data", "metric"])


def _mean_taus(table: pd.DataFrame, between: str, over: list[str]) -> pd.DataFrame:
    """`table` as `places` gives it."""
    names = list(table[between].unique())
    total, count = np.zeros((2, len(names), len(names)))
    for _, cell in table.groupby(over, sort=False, observed=True):
        ranks = cell.pivot(index=between, columns="explainer", values="rank").reindex(names)  # noqa: PD010
        found = _taus(ranks.to_numpy(np.float64))
        total += np.nan_to_num(found)
        count += np.isfinite(found)
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(total / count, index=names, columns=names)


def _taus(ranks: Numbers) -> Numbers:
    """Tau-b between every two rows of (rows, explainers), over the explainers that both have; nan is not there."""
    first, second = np.triu_indices(ranks.shape[1], 1)
    apart = ranks[:, first] - ranks[:, second]  # (rows, pairs)
    there = np.isfinite(apart).astype(np.float64)
    order = np.sign(np.nan_to_num(apart))
    untied = np.abs(order) @ there.T  # pairs that the row orders and the other has
    with np.errstate(invalid="ignore"):
        return np.asarray(order @ order.T / np.sqrt(untied * untied.T))


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


def _places(block: Block) -> pd.DataFrame:
    """Of all models at once; means over the images that every explainer of a model has."""
    images = by_image(block.scores, block.there)
    mapped = block.cells[block.cells["explainer"] != "none"]
    means, counts = np.full(len(block.cells), np.nan), np.zeros(len(block.cells), dtype=int)
    for _, cells in mapped.groupby("model", sort=False, observed=True):
        columns = cells.index.to_numpy()
        complete = images[np.isfinite(images[:, columns]).all(axis=1)][:, columns]
        counts[columns] = len(complete)
        if len(complete):
            means[columns] = complete.mean(axis=0)
    found = mapped.assign(data=block.data, metric=block.metric, mean=means[mapped.index], n=counts[mapped.index])
    height = -block.sign * found["mean"].round(12)  # rounding in the last bit is no difference
    return found.assign(rank=height.groupby(found["model"], sort=False, observed=True).rank())


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
