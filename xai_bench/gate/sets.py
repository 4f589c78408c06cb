"""One number of a whole set of images: how far off it may be, and how likely its worsening is where nothing changed.

The number need not be a mean, so no image has a worsening of its own. What is left is to draw the images again, for a
standard error, and to swap images' records then and now, which can be exchanged where nothing has changed.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import special

from xai_bench.gate.cells import Key, points, records
from xai_bench.gate.sizes import Numbers
from xai_bench.gate.worsening import Estimate, of_set
from xai_bench.reductions import REDUCTIONS, Sums, additive
from xai_bench.runs.run import Run
from xai_bench.stats.resampling import SEED, counts_of

RESAMPLES = 500  # of images, for a standard error: itself known to 3 %
PAIRS = 512  # of patterns of swaps, each with its opposite: all there are where up to ten images differ
RARE = 0.01  # a share of patterns below which few are counted, and the normal approximation to them says more


class Contribution(NamedTuple):
    """What one image adds to a set's number, in the metric's own unit."""

    n: int  # images with a record
    sd: float  # standard error of the number times sqrt(n); nan of fewer than two images


def compared(reduction: str, then: Numbers, now: Numbers, sign: float, alpha: float) -> Estimate:
    """Of the worsening, sign x (number then - number now), of records (n, S) of the same images.

    Its standard error is the larger of two. That of images drawn again is too small where most classes have one image
    only, as no resample has a higher entropy; that of swapped records knows of no image whose records are equal.
    """
    n, both = len(then), additive(reduction, np.concatenate([then, now]))
    old, new = both.parts[:n], both.parts[n:]
    before, after = _swaps(old, new)
    swapped = sign * (both.number(before) - both.number(after))
    mean = round(float(swapped[0]), 12)  # the last bit of a subtraction is no difference
    drawn = _drawn(reduction, then) - _drawn(reduction, now)
    error = max(_sd(drawn), _student_error(swapped, mean, n)) if n > 1 else np.nan
    return of_set(mean, error, n, swap_test(swapped, mean, int((old != new).any(axis=1).sum())), alpha)


def swap_test(swapped: Numbers, worsening: float, apart: int) -> float:
    """Share of the patterns of swaps whose worsening is at least as large, of a set of which so many images differ.

    `swapped` (P,) has the worsening of every pattern whose opposite, which has minus that, is left out; or that of no
    swap and of some drawn at random. Where a share of these is below RARE, the normal distribution of their standard
    deviation may say less, but never less than the least share there is, 2^-apart. A pattern without a number counts
    as worse.
    """
    there = np.isfinite(swapped)
    either = np.where(np.tile(there, 2), np.concatenate([swapped, -swapped]), np.inf)
    share = float((either >= worsening - 1e-9 * np.abs(swapped[there]).max()).mean())
    if share >= RARE or not there.all() or _all_fit(apart):
        return share
    normal = float(special.ndtr(-worsening / np.sqrt((swapped**2).mean())))
    return min(share, max(normal, 2.0**-apart))


def contributions(run: Run, metrics: Collection[str]) -> dict[Key, Contribution]:
    """Of each cell of these metrics that has records."""
    cells = {key: part for key, part in points(run).items() if key[3] in metrics}
    known = {key: str(run.cards.get(key[3], {}).get("reduction")) for key in cells}
    return {
        key: contribution(known[key], records(part, part).now)
        for key, part in cells.items()
        if known[key] in REDUCTIONS
    }


def contribution(reduction: str, values: Numbers) -> Contribution:
    """Of one image to the number of a set with these records (n, S)."""
    there = values[np.isfinite(values).all(axis=1)]
    n = len(there)
    if n < 2:
        return Contribution(n, np.nan)
    if reduction == "mean":
        return Contribution(n, _sd(there.mean(axis=1)))
    return Contribution(n, _sd(_drawn(reduction, there)) * float(np.sqrt(n)))


def _drawn(reduction: str, there: Numbers) -> Numbers:
    """The numbers of sets drawn again with replacement, (RESAMPLES,); of as many images always the same ones."""
    parts, number = additive(reduction, there)
    counts = counts_of(len(there), RESAMPLES)
    return np.concatenate([number(block.astype(parts.dtype) @ parts) for block in counts])


def _swaps(old: Sums, new: Sums) -> tuple[Sums, Sums]:
    """Sums then and now, (P, F) each, of every pattern of swaps of the images that differ; of no swap first."""
    apart = (old != new).any(axis=1)
    patterns = _patterns(int(apart.sum())).astype(old.dtype)
    moved = patterns @ (new - old)[apart]
    return old.sum(axis=0) + moved, new.sum(axis=0) - moved


@lru_cache(maxsize=64)
def _patterns(apart: int) -> Numbers:
    """Which images are swapped, (P, apart): one pattern of each pair of opposites, or some drawn at random."""
    if _all_fit(apart):
        return (np.arange(2 ** max(apart - 1, 0))[:, None] >> np.arange(apart) & 1).astype(np.float64)
    drawn = np.random.default_rng((SEED, apart)).integers(2, size=(PAIRS, apart))
    return np.concatenate([np.zeros((1, apart)), drawn])


def _all_fit(apart: int) -> bool:
    return bool(2 ** (apart - 1) <= PAIRS)


def _sd(drawn: Numbers) -> float:
    """Of the draws that have a number; 0 of fewer than two."""
    there = drawn[np.isfinite(drawn)]
    return float(there.std(ddof=1)) if len(there) > 1 else 0.0


def _student_error(swapped: Numbers, mean: float, n: int) -> float:
    """Student's standard error, where the number is a mean: swaps have the variance sum w^2 / n^2, mean and all."""
    square = (swapped[np.isfinite(swapped)] ** 2).mean()
    return float(np.sqrt(max(n * square - mean**2, 0.0) / (n - 1)))
