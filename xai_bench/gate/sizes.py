"""How many images a gate needs to tell a worsening of one cell from its margin.

Two questions, each to be answered right with 90 % power. To catch a worsening above the margin: its one-sided p must
stay below a level and its mean above the margin. To pass one below it: the upper bound of the mean worsening must stay
below the margin. Before anything has changed they are asked of twice the margin and of 0; of an undecided cell, one of
them of the worsening that was measured. Differences by image are taken as normal; for large n the answers are the
textbook's ((z_level + z_0.9) sd / worse)^2 and ((z_alpha + z_0.9) sd / (margin - worse))^2. Those of hits, in
{-1, 0, 1}, are taken as multinomial and tested by McNemar's exact test, whose sizes Connor (1987) approximates by a
formula.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Numbers = NDArray[np.float64]
Counts = NDArray[np.int64]

POWER = 0.90
TWICE = 2  # margins: the worsening that is to be caught
FEWEST = 6  # images; below, a standard deviation says nothing
MOST = 10**7  # images; what needs more is never decided
GRID = (np.arange(64) + 0.5) / 64  # probabilities at which an estimated standard deviation is looked at
WIDEST = 100  # standard deviations that a margin may be
HALVINGS = 30  # steps to find one
PRECISION = 500  # of so many images the last one does not matter
LOOKED_AT = 64  # counts
REACH = 6  # standard deviations of a count beyond which nothing happens


class Spread(NamedTuple):
    """The differences by image of one cell, as they are expected to be."""

    sd: float  # standard deviation in the metric's own unit; of hits the root of the share of images that change
    hits: bool = False


def to_catch(spread: Spread, margin: float, level: float) -> float:
    """Images with 90 % power to find a worsening of twice the margin at a one-sided level; inf where none have it."""
    return to_decide(TWICE * margin, spread, margin, level=level, alpha=level)


def to_pass(spread: Spread, margin: float, alpha: float) -> float:
    """Images with 90 % power that the upper bound of no worsening, at level 1 - alpha, stays below the margin."""
    return to_decide(0.0, spread, margin, level=alpha, alpha=alpha)


def to_decide(worse: float, spread: Spread, margin: float, *, level: float, alpha: float) -> float:
    """Images with 90 % power to decide a cell whose true mean worsening is `worse`; inf where it is the margin.

    Above the margin: to find it at the one-sided level. Below: that the upper bound at level 1 - alpha is so too.
    """
    if math.isclose(worse, margin):  # scores are rounded
        return math.inf
    if worse > margin:
        caught = _hits_caught if spread.hits else _caught
        return _smallest(lambda n: caught(n, worse, spread.sd, margin, level), _fewest(level))
    passed = _hits_passed if spread.hits else _passed
    return _smallest(lambda n: passed(n, worse, spread.sd, margin, alpha), FEWEST)


def tells(spread: Spread, n: int, level: float, alpha: float) -> float:
    """The least margin for which n images are enough to catch and to pass; inf where they are too few for any."""

    def enough(margin: float) -> bool:
        caught, passed = (_hits_caught, _hits_passed) if spread.hits else (_caught, _passed)
        caught_twice = caught(n, TWICE * margin, spread.sd, margin, level)
        return min(caught_twice, passed(n, 0.0, spread.sd, margin, alpha)) >= POWER

    low, high = 0.0, 1 / TWICE if spread.hits else WIDEST * spread.sd  # no more than all hits can be lost
    if n < _fewest(level) or not enough(high):
        return math.inf
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _fewest(level: float) -> int:
    """2^-n, the least p of n signs, must stay below the level."""
    return max(FEWEST, math.floor(-math.log2(level)) + 1)


def _caught(n: int, worse: float, sd: float, margin: float, level: float) -> float:
    """P(mean > margin and what both tests ask for), over the estimated standard deviation, which it is independent of.

    Student's t asks for its quantile times the standard error. Flipped signs of x have the variance sum x^2, mean and
    all, so that theirs asks for sqrt(n) mean > z sqrt(variance + mean^2).
    """
    error, z2 = sd / math.sqrt(n), special.ndtri(1 - level) ** 2
    if not error or n <= z2:
        return float(n > z2)
    quantiles = special.stdtrit(n - 1, 1 - level), math.sqrt(z2 * (n - 1) / (n - z2))
    bar = np.maximum(margin, max(quantiles) * error * _estimated(n))
    return float(special.ndtr((worse - bar) / error).mean())


def _passed(n: int, worse: float, sd: float, margin: float, alpha: float) -> float:
    """P(mean + quantile x standard error < margin)."""
    error = sd / math.sqrt(n)
    room = margin - worse - special.stdtrit(n - 1, 1 - alpha) * error * _estimated(n)
    return float(special.ndtr(room / error).mean()) if error else 1.0


@lru_cache(maxsize=4096)  # the same few numbers of images are asked for again and again
def _estimated(n: int) -> Numbers:
    """Quantiles of an estimated standard deviation over the true one, (len(GRID),)."""
    return np.asarray(np.sqrt(special.chdtri(n - 1, GRID) / (n - 1)))


def _hits_caught(n: int, worse: float, sd: float, margin: float, level: float) -> float:
    """P(McNemar's exact p < level and mean > margin); `changed` images change, of which `lost` lose their hit."""
    worse = min(worse, 1.0)
    apart = max(sd**2, worse)  # at the least, all that change get worse
    changed, likely = _counts(n, apart)
    bar = np.maximum(_critical(changed, level), np.floor((changed + n * margin) / 2) + 1)
    lost = np.where(bar > changed, 0.0, special.bdtrc(bar - 1, changed, (1 + worse / apart) / 2))
    return float(likely @ lost)


def _hits_passed(n: int, worse: float, sd: float, margin: float, alpha: float) -> float:
    """P(Bonett and Price's upper bound < margin).

    With c that change, the bound of d more lost than won is (d + z sqrt(c + 2 - d^2 / (n + 2))) / (n + 2).
    """
    apart = max(sd**2, abs(worse))
    changed, likely = _counts(n, apart)
    z2, wide = special.ndtri(1 - alpha) ** 2, margin * (n + 2)
    slope = 1 + z2 / (n + 2)
    most = (wide - np.sqrt(np.maximum(wide**2 - slope * (wide**2 - z2 * (changed + 2)), 0))) / slope  # d at the margin
    lost, share = np.ceil((most + changed) / 2) - 1, (1 + worse / apart) / 2 if apart else 0.5
    return float(likely @ np.where(lost < 0, 0.0, special.bdtr(np.clip(lost, 0, changed), changed, share)))


def _counts(n: int, share: float) -> tuple[Counts, Numbers]:
    """Counts of n that a share may give, every so many of them where there are many, and how likely each is."""
    reach = REACH * math.sqrt(n * share * (1 - share)) + REACH
    stride = math.floor(reach / LOOKED_AT) * 2 + 1  # odd: even and odd counts alike
    counts = np.arange(max(0, math.floor(n * share - reach)), min(n, math.ceil(n * share + reach)) + 1, stride)
    missing = n - counts
    ways = special.gammaln(n + 1) - special.gammaln(counts + 1) - special.gammaln(missing + 1)
    likely = np.exp(ways + special.xlogy(counts, share) + special.xlog1py(missing, -share))
    return counts, likely / likely.sum()


def _critical(changed: Counts, level: float) -> Numbers:
    """The fewest losses among the images that change whose exact one-sided p is below the level; more where none is."""
    z = special.ndtri(1 - level)
    bent = z - (z**3 - 3 * z) / (12 * np.maximum(changed, 1))  # Cornish and Fisher's, off by one at most
    start = np.ceil(changed / 2 + 0.5 + bent * np.sqrt(changed) / 2)
    steps = start[:, None] + np.arange(-1, 2)
    tails = np.where(steps < 1, 1.0, special.bdtrc(np.clip(steps - 1, 0, changed[:, None]), changed[:, None], 0.5))
    return np.asarray(np.where(tails < level, steps, np.inf).min(axis=1))


def _smallest(power: Callable[[int], float], fewest: int) -> float:
    """The fewest images whose power is enough, by doubling and halving; inf above MOST."""
    high = fewest
    while not power(high) >= POWER:  # nan is none
        if high > MOST:
            return math.inf
        high *= 2
    low = max(fewest, high // 2)
    while high - low > high / PRECISION:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle + 1, high)
    return float(high)
