"""What paired worsenings say: their mean, bounds, and how likely they are where nothing changed.

A worsening is the difference of an image's scores, above 0 where the score got worse. An image scored again by an
unchanged model gives two numbers that could be exchanged, so its worsening is symmetric about 0: the sign-flip test is
exact then. Student's test holds, for many images, also where only the mean is 0. A regression must convince both.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

from xai_bench.gate.sizes import Numbers, Spread

SUMS = 16  # 2^16 sums of flipped signs are counted: 16 images that all differ, or any number of one size


class Estimate(NamedTuple):
    """Of one cell. Bounds are one-sided, each at level 1 - alpha; nan where one image gives none."""

    mean: float
    low: float
    high: float
    p: float  # one-sided, of no worsening
    spread: Spread  # of the worsenings by image


def estimate(worsenings: Numbers, alpha: float, *, hits: bool = False) -> Estimate:
    """Of worsenings (n,), n at least 1. Of hits, in {-1, 0, 1}: exact sign test, Bonett & Price's (2012) bounds."""
    n, mean = len(worsenings), float(worsenings.mean())
    if n == 1:
        return Estimate(mean, np.nan, np.nan, 0.5 if mean > 0 else 1.0, Spread(np.nan, hits))
    if hits:
        apart = Spread(float(np.sqrt(np.count_nonzero(worsenings) / n)), hits=True)
        return Estimate(mean, *_hit_bounds(worsenings, alpha), sign_test(worsenings), apart)
    sd = float(worsenings.std(ddof=1))
    low, high = _student_bounds(mean, sd / np.sqrt(n), n - 1, alpha)
    return Estimate(mean, low, high, max(student(worsenings), sign_flip(worsenings)), Spread(sd))


def of_set(worsening: float, error: float, n: int, swapped: float, alpha: float) -> Estimate:
    """Of one number of a whole set of n images, with its standard error and the p of swapped records."""
    low, high = _student_bounds(worsening, error, n - 1, alpha)
    p = float(special.stdtr(n - 1, -worsening / error)) if error > 0 else float(worsening <= 0)
    return Estimate(worsening, low, high, max(p, swapped), Spread(float(error * np.sqrt(n))))


def student(worsenings: Numbers) -> float:
    """Student's one-sided p of a mean that is not above 0."""
    mean, n = worsenings.mean(), len(worsenings)
    error = worsenings.std(ddof=1) / np.sqrt(n)
    if error <= 1e-12 * abs(mean):
        return 0.0 if mean > 0 else 1.0
    return float(special.stdtr(n - 1, -mean / error))


def sign_flip(worsenings: Numbers) -> float:
    """Share of the patterns of signs whose sum is at least as large, counted where that can be done.

    Images of one size are interchangeable, so that hits, steps and few differences are exact. Beyond, the normal
    approximation: the sum of flipped signs has mean 0 and variance sum w^2.
    """
    apart = worsenings[worsenings != 0]
    total = apart.sum()
    sizes, counts = np.unique(np.abs(apart), return_counts=True)
    if np.log2(counts + 1.0).sum() > SUMS:
        return float(special.ndtr(-total / np.sqrt((apart**2).sum())))
    sums, shares = np.zeros(1), np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        worse = np.arange(count + 1)
        sums = np.add.outer(sums, size * (2 * worse - count)).ravel()
        shares = np.multiply.outer(shares, _binomial(count)).ravel()
    return float(min(shares[sums >= total - 1e-9 * np.abs(apart).sum()].sum(), 1.0))


def sign_test(worsenings: Numbers) -> float:
    """One-sided exact sign test: of hits McNemar's, on the images where then and now disagree."""
    worse, better = (worsenings > 0).sum(), (worsenings < 0).sum()
    return float(special.bdtrc(worse - 1, worse + better, 0.5)) if worse else 1.0


def _student_bounds(mean: float, error: float, freedom: int, alpha: float) -> tuple[float, float]:
    half = float(special.stdtrit(freedom, 1 - alpha)) * error
    return mean - half, mean + half


def _hit_bounds(worsenings: Numbers, alpha: float) -> tuple[float, float]:
    """One image is added to those that got worse and one to those that got better."""
    n, z = len(worsenings) + 2, float(special.ndtri(1 - alpha))
    worse, better = (((sign * worsenings > 0).sum() + 1) / n for sign in (1, -1))
    half = z * np.sqrt((worse + better - (worse - better) ** 2) / n)
    return max(worse - better - half, -1.0), min(worse - better + half, 1.0)


def _binomial(n: int) -> Numbers:
    """Probabilities of 0 to n heads of n fair coins."""
    heads = np.arange(n + 1)
    ways = special.gammaln(n + 1) - special.gammaln(heads + 1) - special.gammaln(n - heads + 1)
    return np.asarray(np.exp(ways - n * np.log(2)))
