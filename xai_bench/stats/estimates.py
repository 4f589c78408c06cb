"""Means over images, or over seeds and images, with intervals: of scores and of differences alike."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from xai_bench.stats.blocks import Flags, by_image, seeded
from xai_bench.stats.intervals import FEW, Method, bonett_price, by_count, ends, flat, wilson
from xai_bench.stats.resampling import LEVEL, Numbers

UNBOUNDED = (-np.inf, np.inf)


class Crossed(NamedTuple):
    """Columns judged over seeds and images, both drawn at random: each (C,)."""

    low: Numbers
    high: Numbers
    p: Numbers  # two-sided, of a mean of 0; nan where neither seeds nor images differ


class Estimates(NamedTuple):
    """One number per column, (C,)."""

    mean: Numbers
    low: Numbers
    high: Numbers
    n: NDArray[np.intp]  # images defined in every seed of the column
    note: NDArray[np.object_]
    sd_images: Numbers  # spread of the images' means over seeds
    seeds: NDArray[np.intp]
    sd_seeds: Numbers  # spread of the seeds' means over images; nan for one seed
    p: Numbers  # over seeds and images; nan for one seed, and where nothing differs: there only images can tell


def estimate(scores: Numbers, there: Flags, method: Method, bounds: tuple[float, float] = UNBOUNDED) -> Estimates:
    """Of each column of (seeds, images, C), nan where undefined; its seeds are those in which it is `there`.

    One seed: `method` over images. Several: the wider of `crossed` and of `method` over the images' means, at each end:
    seeds that happen to agree do not make few images many. Ends outside the bounds of a score are moved onto them.
    """
    images, count = by_image(scores, there), scores.shape[2]
    mean, low, high, sd_images, sd_seeds, p = np.full((6, count), np.nan)
    n_images, n_seeds = np.zeros((2, count), dtype=np.intp)
    note = np.full(count, "all undefined", dtype=object)
    found = Estimates(mean, low, high, n_images, note, sd_images, n_seeds, sd_seeds, p)
    for seeds, columns in seeded(there):
        found.seeds[columns] = len(seeds)
        for n, inner, places in by_count(np.isfinite(images[:, columns])):
            if n:
                these = columns[inner]
                _fill(found, these, scores[seeds[:, None, None], places, these], method)
    np.clip(found.low, *bounds, out=found.low)
    np.clip(found.high, *bounds, out=found.high)
    return found


def crossed(scores: Numbers) -> Crossed:
    """Student's t for a mean over seeds and images that are both a sample, (seeds, images, C), two or more of each.

    The squared standard error is that of the seeds' means plus that of the images' means, with Satterthwaite's (1946)
    degrees of freedom. What seeds and images share is counted in both, which widens it; that the degrees of freedom of
    two seeds are themselves a guess narrows it: of two seeds that differ as much as images do, 88 to 90 % of intervals
    hold the truth, of three 93 %. Where seeds agree to the last bit it is Student's over images.
    """
    mean = scores.mean(axis=(0, 1))
    parts = [scores.mean(axis=axis).var(axis=0, ddof=1) / scores.shape[1 - axis] for axis in (1, 0)]
    error = parts[0] + parts[1]
    free = [part**2 / (scores.shape[1 - axis] - 1) for part, axis in zip(parts, (1, 0), strict=True)]
    with np.errstate(invalid="ignore", divide="ignore"):
        degrees = error**2 / (free[0] + free[1])
        p = 2 * stats.t.sf(np.abs(mean) / np.sqrt(error), degrees)
        half = stats.t.ppf((1 + LEVEL) / 2, degrees) * np.sqrt(error)
    half = np.where(error > 0, half, 0.0)
    return Crossed(mean - half, mean + half, np.where(error > 0, p, np.nan))


def _fill(found: Estimates, columns: NDArray[Any], scores: Numbers, method: Method) -> None:
    """Of columns whose (seeds, n, c) scores are all defined."""
    (seeds, n), images = scores.shape[:2], scores.mean(axis=0)
    found.mean[columns], found.n[columns] = images.mean(axis=0), n
    if n > 1:
        found.sd_images[columns] = images.std(axis=0, ddof=1)
    if seeds > 1:
        found.sd_seeds[columns] = scores.mean(axis=1).std(axis=0, ddof=1)
    low, high = ends(images, method)
    if seeds > 1 and n > 1:
        both = crossed(scores)
        low, high, found.p[columns] = np.minimum(low, both.low), np.maximum(high, both.high), both.p
    found.low[columns], found.high[columns] = low, high
    still = flat(scores.reshape(seeds * n, -1)) & (method not in (wilson, bonett_price))
    found.note[columns] = "one image" if n == 1 else np.where(still, "no spread", "few images" if n < FEW else "")
