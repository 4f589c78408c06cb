"""How per-image records become one number for a set; on numpy alone, so that reports need no torch.

A record is one row of numbers per image, (n, S) float64: a score (S = 1), or a curve.
"""

import math
from collections.abc import Callable, Mapping

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
