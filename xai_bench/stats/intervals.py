"""Intervals of a mean over images, for many columns of scores at once.

Which interval is used where was chosen by measured coverage: `benchmarks/coverage.py`, docs/statistics.md.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from xai_bench.stats.resampling import LEVEL, Numbers, resampled_means, tails

FEW = 10  # below, even the better bootstrap interval is known to be too narrow at times; the row says so
TOO_FEW = 5  # below, means of resamples do not reach far enough for any quantile of theirs; Student's t does
MANY = 5_000  # above, resampling adds nothing to its own second-order formula
COLUMNS = 512  # at a time: 8 MB of means of resamples

Ends = tuple[Numbers, Numbers]  # (C,) low and (C,) high
Method = Callable[[Numbers], Ends]  # (n, C), n above 1, to the ends of the interval of each column's mean


class Interval(NamedTuple):
    """A mean with its 95 % interval; nan where there is none, and the note says why."""

    mean: float
    low: float
    high: float
    note: str = ""


def interval(values: Numbers, *, binary: bool = False) -> Interval:
    """The mean of defined values: expanded BCa bootstrap, or Wilson's interval where scores can only be 0 or 1."""
    if not len(values):
        return Interval(np.nan, np.nan, np.nan, "all undefined")
    low, high = ends(values[:, None], wilson if binary else expanded_bca)
    return Interval(float(values.mean()), float(low[0]), float(high[0]), remark(values, binary=binary))


def remark(values: Numbers, *, binary: bool = False) -> str:
    """What a reader of an interval of these n values must know."""
    if len(values) < 2:
        return "one image" if len(values) else "all undefined"
    if binary:
        return ""
    return "no spread" if flat(values[:, None])[0] else "few images" if len(values) < FEW else ""


def ends(values: Numbers, method: Method) -> Ends:
    """Interval of each column, (n, C); nan for one image, the value itself where there is one distinct value.

    A method that holds for columns without spread (`wilson`, `bonett_price`) is asked about them too.
    """
    n, count = values.shape
    low, high = np.full((2, count), np.nan)
    if n < 2:
        return low, high
    mean, todo = values.mean(axis=0), np.arange(count)
    if method not in (wilson, bonett_price):
        still = flat(values)
        low[still] = high[still] = mean[still]
        todo = np.flatnonzero(~still)
    for part in np.array_split(todo, range(COLUMNS, len(todo), COLUMNS)):
        low[part], high[part] = method(values[:, part])
    return low, high


def flat(values: Numbers) -> NDArray[np.bool_]:
    """Columns of (n, C) with one distinct value, but for rounding in the last bits."""
    return np.asarray(np.ptp(values, axis=0) <= 1e-12 * np.maximum(1.0, np.abs(values).max(axis=0)))


def expanded_bca(values: Numbers) -> Ends:
    """Bias-corrected and accelerated bootstrap with Student's quantiles in place of the normal ones.

    Efron (1987), "Better bootstrap confidence intervals"; expanded as in Hesterberg (2015), "What teachers should know
    about the bootstrap", section 5: the plain one is too narrow by sqrt((n - 1) / n) and ignores that the spread is
    estimated. Every end is a mean of a resample, so it never leaves the bounds of a score.
    """
    n = len(values)
    if n < TOO_FEW:
        return student(values)
    if n > MANY:
        return johnson(values)
    centred = values - values.mean(axis=0)
    means, slack = resampled_means(centred), 1e-9 * np.ptp(values, axis=0)
    # resamples that tie with the mean count half, whatever the last bit says
    below = ((means < -slack).mean(axis=0) + (means <= slack).mean(axis=0)) / 2
    bias = stats.norm.ppf(np.clip(below, 0.5 / len(means), 1 - 0.5 / len(means)))
    skew = (centred**3).sum(axis=0) / (6 * (centred**2).sum(axis=0) ** 1.5)  # for a mean the jackknife's acceleration
    shifted = bias + _quantile(n) * np.sqrt(n / (n - 1)) * np.array([[-1], [1]])
    found = _quantiles(means, stats.norm.cdf(bias + shifted / np.maximum(1 - skew * shifted, 1e-3)))
    low, high = np.clip(values.mean(axis=0) + found, values.min(axis=0), values.max(axis=0))
    return low, high


def student(values: Numbers) -> Ends:
    """Student's t: for paired differences, whose tails may be heavy but are much alike."""
    mean, half = values.mean(axis=0), _quantile(len(values)) * values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return mean - half, mean + half


def johnson(values: Numbers) -> Ends:
    """Student's t corrected for skewness: Johnson (1978), "Modified t tests and confidence intervals"."""
    n, mean = len(values), values.mean(axis=0)
    spread, quantile = values.std(axis=0, ddof=1), _quantile(n)
    shift = ((values - mean) ** 3).mean(axis=0) / spread**2 * (1 + 2 * quantile**2) / (6 * n)
    half = quantile * spread / np.sqrt(n)
    return mean + shift - half, mean + shift + half


def wilson(values: Numbers) -> Ends:
    """Of a share: Wilson (1927), "Probable inference"; values in between 0 and 1 make it wider than needed."""
    n, share, z = len(values), values.mean(axis=0), stats.norm.ppf(tails()[1])
    centre, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.maximum((centre - half) / (1 + z**2 / n), 0), np.minimum((centre + half) / (1 + z**2 / n), 1)


def bonett_price(values: Numbers) -> Ends:
    """Of a difference of paired hits, values in {-1, 0, 1}; values in between make it wider than needed.

    Bonett & Price (2012), "Adjusted Wald confidence interval for a difference of binomial proportions based on paired
    data": one image is added to the wins and one to the losses.
    """
    n, z = len(values) + 2, stats.norm.ppf(tails()[1])
    wins, losses = ((np.maximum(sign * values, 0).sum(axis=0) + 1) / n for sign in (1, -1))
    half = z * np.sqrt((wins + losses - (wins - losses) ** 2) / n)
    return np.maximum(wins - losses - half, -1), np.minimum(wins - losses + half, 1)


def by_count(defined: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[Any], NDArray[Any]]]:
    """Columns of (n, C) with equally many defined images: (count, columns (c,), images (count, c))."""
    counts = defined.sum(axis=0)
    for count in np.unique(counts):
        columns = np.flatnonzero(counts == count)
        yield int(count), columns, np.nonzero(defined[:, columns].T)[1].reshape(len(columns), count).T


def _quantile(n: int) -> float:
    return float(stats.t.ppf((1 + LEVEL) / 2, n - 1))


def _quantiles(draws: Numbers, at: Numbers) -> Numbers:
    """Each column's own quantiles: (R, C) draws at (2, C) probabilities to (2, C), as numpy interpolates them."""
    place = at * (len(draws) - 1)
    lower = np.floor(place).astype(int)
    ranked = np.sort(draws, axis=0)
    below = np.take_along_axis(ranked, lower, axis=0)
    above = np.take_along_axis(ranked, np.minimum(lower + 1, len(draws) - 1), axis=0)
    return np.asarray(below + (place - lower) * (above - below))
