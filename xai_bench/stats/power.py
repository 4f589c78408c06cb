"""How many images would tell a difference: sizes of samples for 80 % power at 5 %, two-sided, before any correction."""

import numpy as np
from scipy import stats

from xai_bench.stats.resampling import LEVEL, Numbers

POWER = 0.80
FEWEST = 6  # fewer images cannot give p < 0.05: 2 / 2^5 = 0.06


def needed_images(differences: Numbers) -> Numbers:
    """(n, C) differences to (C,): images needed for an interval of the mean, or its test, to exclude 0.

    The normal formula, (z_0.975 + z_0.8)^2 (sd / mean)^2. nan where the mean is 0.
    """
    return _whole((sum(_z()) * differences.std(axis=0, ddof=1)) ** 2, differences.mean(axis=0))


def needed_ranks(differences: Numbers) -> Numbers:
    """The same for Wilcoxon's test and the interval to name one and the same as better.

    The larger of `needed_images` and of what the ranks need: with the share of pairs of images whose differences add up
    to more than 0, whose spread is known where nothing differs and estimated where something does. Lehmann (1975),
    "Nonparametrics", section 4.2. Images without a difference tell Wilcoxon's test nothing and are set aside. nan where
    the mean is 0, or the ranks are for the other side.
    """
    apart = differences != 0
    counts = apart.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = np.where(apart, _positive_sums(differences) / counts, 0.0)
        mean = sums.sum(axis=0) / counts
        spread = np.sqrt(np.maximum((sums**2).sum(axis=0) / counts - mean**2, 0))
        share = counts / len(differences)
    certain, likely = _z()
    ranks = _whole((certain * np.sqrt(1 / 3) + likely * 2 * spread) ** 2 / share, mean - 0.5)
    along = (mean - 0.5) * differences.mean(axis=0) > 0
    return np.where(along, np.maximum(ranks, needed_images(differences)), np.nan)


def needed_hits(differences: Numbers) -> Numbers:
    """The same of hits, differences in {-1, 0, 1}, told apart by McNemar's test.

    Connor (1987), "Sample size for testing differences in proportions for the paired-sample design".
    """
    mean, apart = differences.mean(axis=0), (differences != 0).mean(axis=0)
    certain, likely = _z()
    return _whole((certain * np.sqrt(apart) + likely * np.sqrt(np.maximum(apart - mean**2, 0))) ** 2, mean)


NEEDED = {"wilcoxon": needed_ranks, "permutation": needed_images}


def _positive_sums(differences: Numbers) -> Numbers:
    """Of each difference that is not 0: with how many of the others that are not it adds up to more than 0, ties half.

    (n, C) to (n, C). Itself is counted among the others.
    """
    n = len(differences)
    ranks = stats.rankdata(np.concatenate([differences, -differences]), axis=0)[n:] - stats.rankdata(
        -differences, axis=0
    )  # differences below the negative of each, ties half
    zeros = (differences == 0).sum(axis=0)
    return np.asarray(n - zeros - (ranks - zeros * (differences < 0)))


def _z() -> tuple[float, float]:
    return float(stats.norm.ppf((1 + LEVEL) / 2)), float(stats.norm.ppf(POWER))


def _whole(above: Numbers, mean: Numbers) -> Numbers:
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.maximum(np.ceil(above / mean**2), FEWEST)
    return np.where(np.abs(mean) > 1e-12, found, np.nan)
