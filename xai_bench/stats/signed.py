"""Tests of paired differences against 0, one p-value for each column."""

from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from xai_bench.stats.resampling import SEED, Numbers

EXACT = 13  # so many differences that are not 0 are judged by all 2^13 sign patterns
UNTIED = 50  # up to which scipy has the exact distribution of ranks without ties
FLIPS = 9_999


def wilcoxon(differences: Numbers) -> Numbers:
    """Wilcoxon's signed-rank test, two-sided: (n, C) to (C,); images without a difference are left out of the ranks.

    Exact for up to 13 differences (over all signs, ties or not) and for up to 50 without ties; else the normal
    approximation with its correction for ties. Where nothing differs, p = 1.
    """
    ranks = signed_ranks(differences)
    few = (ranks != 0).sum(axis=0) <= EXACT
    clean = ~few & (len(differences) <= UNTIED) & ~_tied(differences)
    p = np.ones(differences.shape[1])
    p[few] = _over_all_signs(ranks[:, few])
    for chosen, method in ((clean, "exact"), (~few & ~clean, "asymptotic")):
        if chosen.any():
            p[chosen] = stats.wilcoxon(differences[:, chosen], axis=0, method=method).pvalue
    return p


def permutation(differences: Numbers) -> Numbers:
    """Share of sign flips whose mean is as far from 0, two-sided: all of them for up to 13, else 9,999 and the data."""
    few = (differences != 0).sum(axis=0) <= EXACT
    p = np.ones(differences.shape[1])
    p[few] = _over_all_signs(differences[:, few])
    rest = differences[:, ~few]
    if rest.shape[1]:
        rng = np.random.default_rng((SEED, len(rest)))
        seen, slack = np.abs(rest.sum(axis=0)), 1e-9 * np.abs(rest).sum(axis=0)
        far = np.zeros(rest.shape[1])
        for rows in np.array_split(range(FLIPS), 1 + FLIPS * len(rest) // 2**22):
            signs = rng.integers(2, size=(len(rows), len(rest))) * 2.0 - 1
            far += (np.abs(signs @ rest) >= seen - slack).sum(axis=0)
        p[~few] = (1 + far) / (1 + FLIPS)
    return p


def sign(differences: Numbers) -> Numbers:
    """The exact sign test: for differences of hits McNemar's exact test on the images where the two disagree."""
    wins, losses = (differences > 0).sum(axis=0), (differences < 0).sum(axis=0)
    return np.asarray(np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(wins, losses), wins + losses, 0.5)))


def signed_ranks(differences: Numbers) -> Numbers:
    """Ranks of the absolute differences that are not 0, with the sign of the difference; 0 where there is none."""
    size = np.abs(differences)
    ranks = stats.rankdata(size, axis=0) - (size == 0).sum(axis=0)
    return np.asarray(np.sign(differences) * np.where(size > 0, ranks, 0.0))


def rank_biserial(differences: Numbers) -> Numbers:
    """Matched-pairs rank-biserial correlation (Kerby 2014): ranks for minus ranks against, over all; in [-1, 1]."""
    ranks = signed_ranks(differences)
    return np.asarray(ranks.sum(axis=0) / np.maximum(np.abs(ranks).sum(axis=0), 1.0))


TESTS = {"wilcoxon": wilcoxon, "permutation": permutation}


def _tied(differences: Numbers) -> NDArray[np.bool_]:
    ranked = np.sort(np.abs(differences), axis=0)
    return np.asarray((ranked[0] == 0) | (np.diff(ranked, axis=0) == 0).any(axis=0))


def _over_all_signs(values: Numbers) -> Numbers:
    """Twice the smaller tail of the sum over all patterns of signs; values that are not 0 number at most 13."""
    if not values.shape[1]:
        return np.ones(0)
    kept = -np.sort(-np.abs(values), axis=0)[:EXACT]
    sums, seen, slack = _signs(len(kept)) @ kept, values.sum(axis=0), 1e-9 * kept.sum(axis=0)
    tails = [(sums >= seen - slack).mean(axis=0), (sums <= seen + slack).mean(axis=0)]
    return np.asarray(np.minimum(1.0, 2 * np.minimum(*tails)))


@lru_cache(maxsize=16)
def _signs(n: int) -> Numbers:
    return np.array(list(product((-1.0, 1.0), repeat=n)))  # (2^n, n)
