"""How per-image records become one number for a set; on numpy alone, so that reports need no torch.

A record is one row of numbers per image, (n, S) float64: a score (S = 1), or a curve.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.float64]  # (n, S)


def mean(records: Records) -> float:
    """The mean over images and steps."""
    return float(records.mean())


def class_entropy(records: Records) -> float:
    """Entropy in nats of the classes predicted over the set, (n, S) class numbers, averaged over the S steps.

    Exact: the published code (Balasubramanian & Feizi 2023) adds 1e-7 inside the logarithm, up to K 1e-7 less.
    """
    return float(np.mean([_entropy(step) for step in records.T]))


def _entropy(classes: NDArray[np.float64]) -> float:
    counts = np.unique(classes, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(np.abs((shares * np.log(shares)).sum()))  # the sum is never above 0; abs turns -0.0 into 0.0


def ratio(records: Records) -> float:
    """Mean of the first column over the mean of the second, (n, 2); nan where the second is 0 for every image."""
    above, below = records.mean(axis=0)
    return float(above / below) if below else math.nan


REDUCTIONS: Mapping[str, Callable[[Records], float]] = {"mean": mean, "class_entropy": class_entropy, "ratio": ratio}


def reduced(name: str, records: Records) -> tuple[float, str]:
    """A set's number, or nan with the reason."""
    value = REDUCTIONS[name](records)
    return value, "" if math.isfinite(value) else f"{name} of the images' records is not finite"


Sums = NDArray[np.floating]
BLOCK = 32  # sets looked up at a time, which stay in the processor's cache


class Additive(NamedTuple):
    """A reduction as a function of sums over images, so that many sets of the same images cost one product."""

    parts: Sums  # (n, F), what each image adds
    number: Callable[[Sums], Records]  # sums (B, F) to the numbers of B sets (B,); nan where one has none


def additive(name: str, records: Records) -> Additive:
    """The reduction of that name, for sets drawn from these records; each may be drawn several times."""
    return _ADDITIVE[name](records)


def _additive_mean(records: Records) -> Additive:
    return _additive_ratio(np.stack([records.mean(axis=1), np.ones(len(records))], axis=1))


def _additive_entropy(records: Records) -> Additive:
    """The classes of each step count their images."""
    parts = np.concatenate([step[:, None] == np.unique(step) for step in records.T], axis=1)
    return Additive(parts.astype(np.float32), partial(_entropies, steps=records.shape[1]))


def _entropies(counts: Sums, steps: int) -> Records:
    """Of (B, classes of all steps): with c of n images in a class, a step's is log n - sum(c log c) / n."""
    n = counts.sum(axis=1, dtype=np.float64) / steps
    whole = np.arange(counts.max() + 1, dtype=np.float64)
    table = whole * np.log(np.maximum(whole, 1))
    blocks = (counts[start : start + BLOCK] for start in range(0, len(counts), BLOCK))
    logs = np.concatenate([table[block.astype(np.intp)].sum(axis=1) for block in blocks])
    return np.asarray(np.log(n) - logs / (n * steps))


def _additive_ratio(records: Records) -> Additive:
    return Additive(records, _divided)


def _divided(sums: Sums) -> Records:
    above, below = sums.T
    return np.asarray(np.divide(above, below, out=np.full(len(sums), np.nan), where=below != 0))


_ADDITIVE = {"mean": _additive_mean, "class_entropy": _additive_entropy, "ratio": _additive_ratio}
