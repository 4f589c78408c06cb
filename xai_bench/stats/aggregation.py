"""Aggregates over images x models: interquartile mean, probability of improvement, performance profiles.

Agarwal et al. (2021), "Deep reinforcement learning at the edge of the statistical precipice", and its library rliable,
with one difference: all models see the same images, so images are drawn anew for all models at once. To draw them for
each model by itself, as rliable draws runs within a task, would take what the models share for chance. The models are
these models and are not drawn. Nor are seeds: of several the images' means over seeds are taken, and what other
trainings would give may differ by more than an interval says; `seeds` says of how many.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from xai_bench.runs.run import Run
from xai_bench.stats.blocks import Block, blocks, by_image, seeds_of
from xai_bench.stats.intervals import ends, wilson
from xai_bench.stats.pairs import ALL_PAIRS
from xai_bench.stats.resampling import BLOCK, Numbers, counts_of, resampled_means, tails

AGGREGATES = ["data", "metric", "explainer", "better", "mean", "iqm", "low", "high", "n", "models", "seeds", "note"]
IMPROVEMENT = ["data", "metric", "a", "b", "probability", "low", "high", "n", "models", "seeds"]
PROFILES = ["data", "metric", "explainer", "threshold", "share", "low", "high", "seeds"]
RESAMPLES = 1_000  # of a number with two digits to a report
THRESHOLDS = 101
TRIM = 0.25
HITS = "hits: see the mean"


class Table(NamedTuple):
    """Scores of one explainer, images x models; a nan is undefined or not there."""

    block: Block
    explainer: str
    models: tuple[str, ...]
    scores: Numbers
    seeds: int


def aggregates(run: Run) -> pd.DataFrame:
    """Interquartile mean over images x models of each explainer and metric, with its 95 % interval.

    The mean of the middle half of all scores: neither a few images nor a few models decide it, and it loses less to
    chance than a median. `mean` is that of the same scores, `n` their number. The middle half of hits is 0, 1 or half
    of each, whatever their share: nan, and the note says so. Percentile bootstrap over images.
    """
    rows = []
    for table in _tables(run):
        values = table.scores[np.isfinite(table.scores)]
        facts = (table.block.data, table.block.metric, table.explainer, table.block.card.get("better", "unstated"))
        found = _middle(table.scores, values)
        hits = table.block.binary and len(values) > 0
        found = (found[0], np.nan, np.nan, np.nan) if hits else found
        note = HITS if hits else _note(values)
        rows.append((*facts, *found, len(values), len(table.models), table.seeds, note))
    return pd.DataFrame(rows, columns=AGGREGATES)


def improvement(run: Run) -> pd.DataFrame:
    """Probability that explainer a is better than b on an image drawn at random, ties counted half.

    Paired: a and b are compared on the same image of the same model, unlike rliable's, which compares runs that share
    nothing and has every run of one against every run of the other. Mean over models of the images on which both are
    defined, `n` of them; Wilson's interval, wider than needed where there are several models or ties. Above 30
    explainers, and where a metric has no direction, there is none.
    """
    rows: list[tuple[Any, ...]] = []
    for tables in _by_block(run):
        block = tables[0].block
        if block.sign and len(tables) <= ALL_PAIRS:
            rows += [
                (block.data, block.metric, a.explainer, b.explainer, *_better(a, b), max(a.seeds, b.seeds))
                for number, a in enumerate(tables)
                for b in tables[number + 1 :]
            ]
    return pd.DataFrame(rows, columns=IMPROVEMENT)


def profiles(run: Run) -> pd.DataFrame:
    """Share of images x models whose score is better than each threshold, with a pointwise 95 % band.

    101 thresholds between the bounds of the metric, or between the lowest and the highest score where it has none. A
    profile that is nowhere below another is better on every quantile (Dolan & More 2002).
    """
    rows: list[tuple[Any, ...]] = []
    for tables in _by_block(run):
        block = tables[0].block
        thresholds = _thresholds(tables)
        for table in tables:
            if block.sign and np.isfinite(table.scores).any():
                points = zip(thresholds.tolist(), *_profile(table, thresholds), strict=True)
                rows += [(block.data, block.metric, table.explainer, *point, table.seeds) for point in points]
    return pd.DataFrame(rows, columns=PROFILES)


def _by_block(run: Run) -> Iterator[list[Table]]:
    for block in blocks(run):
        images = by_image(block.scores, block.there)
        held = block.cells[block.cells["explainer"] != "none"].groupby("explainer", sort=False, observed=True)
        tables = [_table(block, images, str(name), cells) for name, cells in held]
        if tables:
            yield tables


def _table(block: Block, images: Numbers, explainer: str, cells: pd.DataFrame) -> Table:
    columns = cells.index.to_numpy()
    models = tuple(map(str, cells["model"]))
    return Table(block, explainer, models, images[:, columns], seeds_of(block.there[:, :, columns]))


def _tables(run: Run) -> Iterator[Table]:
    for tables in _by_block(run):
        yield from tables


def _middle(scores: Numbers, values: Numbers) -> tuple[float, float, float, float]:
    """Mean, interquartile mean, and its interval by resampling of images."""
    if not len(values):
        return np.nan, np.nan, np.nan, np.nan
    mean, middle = float(values.mean()), float(stats.trim_mean(values, TRIM))
    if len(scores) < 2:
        return mean, middle, np.nan, np.nan
    image, order = np.nonzero(np.isfinite(scores))[0], np.argsort(values, kind="stable")
    draws = np.concatenate([_trimmed(values[order], part[:, image[order]]) for part in _parts(scores, len(values))])
    low, high = np.quantile(draws[np.isfinite(draws)], tails())
    return mean, middle, float(low), float(high)


def _parts(scores: Numbers, count: int) -> Iterator[NDArray[np.uint8]]:
    """How often each image is drawn, a few resamples at a time."""
    for counts in counts_of(len(scores), RESAMPLES):
        yield from np.array_split(counts, 1 + len(counts) * count // BLOCK)


def _trimmed(ranked: Numbers, counts: NDArray[np.uint8]) -> Numbers:
    """`trim_mean` of resamples: of scores in order (N,), each drawn so often (R, N)."""
    upto = np.cumsum(counts, axis=1, dtype=np.int32)
    cut = (TRIM * upto[:, -1:]).astype(np.int32)
    kept = np.diff(np.clip(upto, cut, upto[:, -1:] - cut), axis=1, prepend=cut).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray((kept @ ranked) / kept.sum(axis=1))


def _note(values: Numbers) -> str:
    if len(values) < 2:
        return "one score" if len(values) else "all undefined"
    return "no spread" if not np.ptp(values) else "few scores" if len(values) < 10 else ""


def _better(a: Table, b: Table) -> tuple[Any, ...]:
    """Probability, low, high, images x models, models."""
    shared = [model for model in a.models if model in b.models]
    apart = a.scores[:, _columns(a, shared)] - b.scores[:, _columns(b, shared)]
    ahead = np.where(np.isfinite(apart), 0.5 + np.sign(np.round(apart, 12)) * a.block.sign / 2, np.nan)
    known = np.isfinite(ahead)
    images = known.any(axis=1)
    if not images.any():
        return np.nan, np.nan, np.nan, 0, len(shared)
    each = np.where(known, ahead, 0).sum(axis=1)[images] / known[images].sum(axis=1)
    low, high = ends(each[:, None], wilson)
    return float(each.mean()), float(low[0]), float(high[0]), int(known.sum()), len(shared)


def _columns(table: Table, models: list[str]) -> list[int]:
    place = {model: number for number, model in enumerate(table.models)}
    return [place[model] for model in models]


def _thresholds(tables: list[Table]) -> Numbers:
    low, high = tables[0].block.bounds
    values = np.concatenate([table.scores.ravel() for table in tables])
    values = values[np.isfinite(values)]
    if not (np.isfinite(low) and np.isfinite(high)) and len(values):
        low, high = values.min(), values.max()
    return np.linspace(low, high, THRESHOLDS) if np.isfinite(high - low) else np.zeros(0)


def _profile(table: Table, thresholds: Numbers) -> tuple[list[float], list[float], list[float]]:
    """Share, low and high at each threshold."""
    known, sign = np.isfinite(table.scores), table.block.sign
    counts = known.sum(axis=1)
    above = np.stack([((sign * table.scores > sign * at) & known).sum(axis=1) for at in thresholds], axis=1)
    share = above.sum(axis=0) / counts.sum()
    if len(above) < 2:
        return share.tolist(), [np.nan] * len(share), [np.nan] * len(share)
    drawn = resampled_means(np.column_stack([above, counts]).astype(np.float64), RESAMPLES)
    drawn = drawn[drawn[:, -1] > 0]  # a resample may have none of the few images that are defined
    low, high = np.quantile(drawn[:, :-1] / drawn[:, -1:], tails(), axis=0)
    return share.tolist(), low.tolist(), high.tolist()
