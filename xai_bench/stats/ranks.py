"""Ranks of explainers (or models) over images: mean ranks, Friedman's test, and the critical difference."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from xai_bench.runs.run import Run
from xai_bench.stats.blocks import Block, blocks, by_image, checked_across, groups, in_order_of, seeds_of
from xai_bench.stats.resampling import LEVEL, Numbers

RANKS = ["across", "data", "metric", "fixed", "name", "rank", "n"]  # rank 1 is best; ties share
FRIEDMAN = ["across", "data", "metric", "fixed", "statistic", "p", "names", "n", "critical_difference", "note"]
KEYS = ["data", "metric", "fixed"]
SEVERAL = "several seeds: ranks of their means, without a test"


class Ranked(NamedTuple):
    """Names of a group, ranked on each image on which all of them are defined; those without any score left out."""

    block: Block
    fixed: str
    names: tuple[str, ...]
    ranks: Numbers  # (images, names)
    seeds: int
    without: str  # `without energy, which has no score`


def mean_ranks(run: Run, across: str = "explainer") -> pd.DataFrame:
    """Mean rank over images of each explainer of a model (or model under an explainer), per metric; 1 is best.

    Only images on which all names are defined (in every seed) count: `n`. Metrics without a direction are left out,
    and so are those of a whole set, names without any score, and what has nothing to be compared with.
    """
    rows = [
        (across, *_key(found), name, rank, len(found.ranks))
        for found in _ranked(run, across)
        for name, rank in zip(found.names, _mean(found.ranks), strict=True)
    ]
    return _ordered(pd.DataFrame(rows, columns=RANKS), run, across)


def friedman(run: Run, across: str = "explainer") -> pd.DataFrame:
    """Friedman's test and Nemenyi's critical difference of mean ranks, per metric and model (or explainer).

    Friedman (1937), corrected for ties: of hits it is Cochran's Q. Names whose mean ranks are further apart than the
    critical difference differ at 5 %: Demsar (2006), "Statistical comparisons of classifiers", section 3.2.2. Nan with
    a note where there are fewer than three names or no image on which all are defined, and over several seeds: by image
    the test would take one lucky training for a method that ranks first everywhere.
    """
    rows = [
        (across, *_key(found), *numbers, "; ".join(filter(None, (note, found.without))))
        for found in _ranked(run, across)
        for *numbers, note in [_test(found.ranks, found.seeds)]
    ]
    return _ordered(pd.DataFrame(rows, columns=FRIEDMAN), run, across)


def critical_difference(names: int, images: int) -> float:
    """Nemenyi's: q_0.05 / sqrt(2) sqrt(k (k + 1) / 6n), q of the studentised range of k and infinitely many."""
    return float(_studentised_range(names) / np.sqrt(2) * np.sqrt(names * (names + 1) / (6 * images)))


def _ranked(run: Run, across: str) -> Iterator[Ranked]:
    checked_across(across)
    for block in blocks(run):
        if not block.sign:
            continue
        images = by_image(block.scores, block.there)
        for group in groups(block, across):
            scores = np.round(images[:, group.columns], 12)  # rounding in the last bit is no difference
            kept = np.asarray(np.isfinite(scores).any(axis=0))
            kept |= not kept.any()  # where nobody has a score, the note says that no image is defined
            names = tuple(name for name, there in zip(group.names, kept, strict=True) if there)
            if len(names) > 1:
                complete = scores[:, kept][np.isfinite(scores[:, kept]).all(axis=1)]
                ranks = np.asarray(stats.rankdata(-block.sign * complete, axis=1))
                seeds = seeds_of(block.there[:, :, group.columns])
                yield Ranked(block, group.fixed, names, ranks, seeds, _without({*group.names} - {*names}))


def _without(names: set[str]) -> str:
    return f"without {', '.join(sorted(names))}, for lack of any score" if names else ""


def _test(ranks: Numbers, seeds: int) -> tuple[Any, ...]:
    """Statistic, p, names, images, critical difference, note."""
    images, names = ranks.shape
    if seeds > 1 and images:
        return np.nan, np.nan, names, images, np.nan, SEVERAL
    if names < 3:
        return np.nan, np.nan, names, images, np.nan, "two names: the paired test says it all"
    if not images:
        return np.nan, np.nan, names, images, np.nan, "no image on which all are defined"
    difference = critical_difference(names, images)
    if not np.ptp(ranks):
        return 0.0, 1.0, names, images, difference, "all ties"
    found = stats.friedmanchisquare(*ranks.T)
    return float(found.statistic), float(found.pvalue), names, images, difference, "one image" if images == 1 else ""


def _mean(ranks: Numbers) -> Numbers:
    return ranks.mean(axis=0) if len(ranks) else np.full(ranks.shape[1], np.nan)


def _key(found: Ranked) -> tuple[str, str, str]:
    return found.block.data, found.block.metric, found.fixed


def _ordered(frame: pd.DataFrame, run: Run, across: str) -> pd.DataFrame:
    return in_order_of(frame, run.scores.assign(fixed=run.scores[_fixed(across)]), KEYS)


def _fixed(across: str) -> str:
    return "model" if across == "explainer" else "explainer"


@lru_cache(maxsize=64)
def _studentised_range(names: int) -> float:
    return float(stats.studentized_range.ppf(LEVEL, names, np.inf))
