"""How many images would tell a difference: sizes of samples for 80 % power at 5 %, two-sided, before any correction."""

import numpy as np
from scipy import stats

from xai_bench.stats.resampling import LEVEL, Numbers

POWER = 0.80
EFFICIENCY = 3 / np.pi  # of Wilcoxon's test against Student's where differences are normal; more with heavier tails
FEWEST = 6  # fewer images cannot give p < 0.05: 2 / 2^5 = 0.06


def needed_images(differences: Numbers, *, efficiency: float = EFFICIENCY) -> Numbers:
    """(n, C) differences to (C,): images needed to tell a mean difference of the size and spread seen.

    The normal formula, (z_0.975 + z_0.8)^2 (sd / mean)^2, over the test's efficiency. nan where the mean is 0.
    """
    mean = differences.mean(axis=0)
    return _whole((_z() * differences.std(axis=0, ddof=1)) ** 2 / efficiency, mean)


def needed_hits(differences: Numbers) -> Numbers:
    """The same of hits, differences in {-1, 0, 1}, told apart by McNemar's test.

    Connor (1987), "Sample size for testing differences in proportions for the paired-sample design".
    """
    mean, apart = differences.mean(axis=0), (differences != 0).mean(axis=0)
    certain, likely = stats.norm.ppf([(1 + LEVEL) / 2, POWER])
    return _whole((certain * np.sqrt(apart) + likely * np.sqrt(np.maximum(apart - mean**2, 0))) ** 2, mean)


def _z() -> float:
    return float(stats.norm.ppf((1 + LEVEL) / 2) + stats.norm.ppf(POWER))


def _whole(above: Numbers, mean: Numbers) -> Numbers:
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.maximum(np.ceil(above / mean**2), FEWEST)
    return np.where(np.abs(mean) > 1e-12, found, np.nan)
