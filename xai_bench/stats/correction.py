"""Many tests at once: Holm's correction. Needs numpy alone, so that a gate in CI starts quickly."""

import numpy as np

from xai_bench.stats.resampling import Numbers


def holm(p: Numbers) -> Numbers:
    """Holm's (1979) step-down correction; nan stays nan and does not count as a test."""
    corrected, tested = np.full(len(p), np.nan), np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return corrected
