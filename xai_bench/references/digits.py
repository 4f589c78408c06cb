"""The digits of a score that are kept, and compared."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

DIGITS = 7  # significant; scores are computed in float32, which has no more


def rounded(scores: ArrayLike) -> NDArray[np.float64]:
    """Scores (n,) to seven significant digits; what is not finite is nan, since an infinite score is no score."""
    values = np.asarray(scores, np.float64)
    kept = [float(f"{value:.{DIGITS - 1}e}") for value in values.ravel().tolist()]
    found = np.array(kept, np.float64).reshape(values.shape)
    return np.where(np.isfinite(found), found, np.nan)
