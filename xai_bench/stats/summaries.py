"""One row per cell: mean, interval, spread over images and over seeds, and how many are undefined and why."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from xai_bench.reductions import REDUCTIONS
from xai_bench.runs.run import Run
from xai_bench.stats.blocks import CELL, Block, blocks, bounds_of, in_order_of
from xai_bench.stats.estimates import estimate
from xai_bench.stats.intervals import FEW, expanded_bca, student, wilson
from xai_bench.stats.resampling import SEED, tails

SUMMARY = [*CELL, "better", "mean", "low", "high", "n", "undefined", "note", "version", "spec"]
SUMMARY += ["sd_images", "seeds", "sd_seeds"]
SET_RESAMPLES = 1_000  # a set metric is reduced anew for each, in Python


def summary(run: Run) -> pd.DataFrame:
    """Mean over images, or over seeds and images, with its 95 % interval, for each data set, model, explainer, metric.

    `n` images are defined, in every seed of the cell; `sd_images` is their spread, `sd_seeds` that of the `seeds`'
    means. Where there is no interval it is nan, and `note` says why; it also counts reasons of the undefined.
    """
    if run.scores.empty:
        return pd.DataFrame(columns=SUMMARY)
    parts = [*map(_cells, blocks(run)), _sets(run)]
    found = pd.concat([part for part in parts if len(part)], ignore_index=True)
    reasons = _reasons(run)
    keys = list(found[CELL].itertuples(index=False, name=None))
    notes = zip(found["note"], (reasons.get(key, "") for key in keys), strict=True)
    found["note"] = ["; ".join(filter(None, pair)) for pair in notes]
    found["better"] = [run.cards.get(metric, {}).get("better", "unstated") for metric in found["metric"]]
    for name in ("version", "spec"):
        stamps = _stamps(run, name)
        found[name] = [stamps[key] for key in keys]
    return in_order_of(found.reindex(columns=SUMMARY), run.scores, CELL)


def _cells(block: Block) -> pd.DataFrame:
    found = estimate(block.scores, block.there, wilson if block.binary else expanded_bca, block.bounds)
    images = block.there.any(axis=0).sum(axis=0)
    facts = found._asdict() | {"undefined": images - found.n, "data": block.data, "metric": block.metric}
    del facts["p"]
    return block.cells.assign(**facts)


def _sets(run: Run) -> pd.DataFrame:
    """Metrics of a whole set, stored with sample "*"."""
    whole, records = run.scores[run.scores["sample"] == "*"], dict(_records(run))
    rows = [
        dict(zip(CELL, key, strict=True)) | _set_row(cell, records.get(key), run.cards.get(str(key[3]), {}))
        for key, cell in whole.groupby(CELL, sort=False, observed=True)
    ]
    return pd.DataFrame(rows, columns=[name for name in SUMMARY if name not in ("better", "version", "spec")])


def _records(run: Run) -> Iterator[tuple[Any, Any]]:
    """Images x steps of every cell of a set metric; a run of several seeds has them seed by seed."""
    metrics = run.scores.loc[run.scores["sample"] == "*", "metric"].unique()
    points = run.points(list(metrics))
    if not points.duplicated([*CELL, "sample", "fraction"]).any():
        for key, cell in points.groupby(CELL, sort=False, observed=True):
            yield key, cell.pivot(index="sample", columns="fraction", values="value").to_numpy(np.float64)  # noqa: PD010


def _set_row(cell: pd.DataFrame, records: Any, card: Mapping[str, Any]) -> dict[str, Any]:
    scores = cell["score"].to_numpy(np.float64)
    defined = scores[np.isfinite(scores)]
    values = np.empty((0, 0)) if records is None else records[np.isfinite(records).all(axis=1)]
    facts = {"n": len(values), "undefined": len(scores) - len(defined), "sd_images": np.nan, "sd_seeds": np.nan}
    facts |= {"seeds": len(scores)}
    if not len(defined):
        return facts | {"mean": np.nan, "low": np.nan, "high": np.nan, "note": "all undefined"}
    if len(scores) > 1:
        return facts | _over_seeds(defined, bounds_of(card))
    low, high, note = _set_interval(float(scores[0]), values, card)
    return facts | {"mean": float(scores[0]), "low": low, "high": high, "note": note}


def _over_seeds(scores: Any, bounds: tuple[float, float]) -> dict[str, Any]:
    """One number per seed: Student's interval over seeds, ends moved onto the bounds of the score."""
    found = {"mean": scores.mean(), "low": np.nan, "high": np.nan, "note": "one seed defined", "sd_seeds": np.nan}
    if len(scores) < 2:
        return found
    low, high = np.clip(np.ravel(student(scores[:, None])), *bounds)
    note = "no spread" if low == high else "interval over seeds"
    return found | {"low": low, "high": high, "note": note, "sd_seeds": scores.std(ddof=1)}


def _set_interval(point: float, values: Any, card: Mapping[str, Any]) -> tuple[float, float, str]:
    if len(values) < 2:
        return np.nan, np.nan, "no interval: fewer than two records"
    if card.get("reduction") not in REDUCTIONS:
        return np.nan, np.nan, f"no interval: unknown reduction {card.get('reduction')!r}"
    reduce, rng = REDUCTIONS[card["reduction"]], np.random.default_rng(SEED)
    draws = [reduce(values[rng.integers(len(values), size=len(values))]) for _ in range(SET_RESAMPLES)]
    draws = [draw for draw in draws if np.isfinite(draw)] or [point]  # a ratio may have nothing below its line
    # centred: entropy of a resample is too low, and a plain percentile interval can miss its own point
    low, high = np.clip(point - np.mean(draws) + np.quantile(draws, tails()), *bounds_of(card)).tolist()
    return low, high, "no spread" if low == high else "few images" if len(values) < FEW else ""


def _reasons(run: Run) -> dict[Any, str]:
    """`no region (2), map is constant (1)` for each cell with undefined scores."""
    missing = run.scores[~np.isfinite(run.scores["score"])]
    reason = missing["reason"].astype(object).where(missing["reason"].notna(), "").replace("", "no reason given")
    counts = missing.assign(reason=reason).groupby([*CELL, "reason"], observed=True).size().reset_index(name="count")
    counts["said"] = counts["reason"].astype(str) + " (" + counts["count"].astype(str) + ")"
    return dict(counts.groupby(CELL, sort=False, observed=True)["said"].agg(", ".join).items())


def _stamps(run: Run, name: str) -> dict[Any, str]:
    """Versions or specs of each cell; more than one is said."""
    found = run.scores.drop_duplicates([*CELL, name])
    cells = found[name].astype(str).groupby([found[key] for key in CELL], sort=False, observed=True)
    return dict(cells.agg("; ".join).items())
