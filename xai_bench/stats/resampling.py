"""Resamples of images with replacement, the same for the same number of images: a score has one interval, always."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 2_000
SEED = 20_240_229
BLOCK = 2**21  # numbers drawn at a time


def tails() -> tuple[float, float]:
    """The two probabilities between which 95 % lie."""
    return (1 - LEVEL) / 2, (1 + LEVEL) / 2


def resampled_means(values: Numbers, resamples: int = RESAMPLES) -> Numbers:
    """Means of resamples with replacement: (n,) to (resamples,), (n, S) to (resamples, S)."""
    return np.concatenate([weights @ values for weights in weights_of(len(values), resamples)])


def weights_of(n: int, resamples: int = RESAMPLES) -> Iterator[Numbers]:
    """How often each of n images is drawn, divided by n, (rows, n); in blocks of at most 16 MB."""
    return (counts / n for counts in counts_of(n, resamples))


def counts_of(n: int, resamples: int = RESAMPLES) -> Iterator[NDArray[np.uint8]]:
    """How often each of n images is drawn, (rows, n); in blocks of at most 2 MB."""
    rows = max(1, min(resamples, BLOCK // n))
    return (_counts(n, min(rows, resamples - start), start) for start in range(0, resamples, rows))


@lru_cache(maxsize=64)  # of a run with undefined scores every cell may have another n
def _counts(n: int, rows: int, start: int) -> NDArray[np.uint8]:
    drawn = np.random.default_rng((SEED, n, start)).integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.uint8)  # hardly one is above 10
