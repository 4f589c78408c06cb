"""How many images a gate needs, from what is known of one cell before anything has changed.

Two questions, each to be answered right with 90 % power. To catch a worsening of twice the margin: its one-sided p must
stay below a level and its mean above the margin. To pass what has not changed: the upper bound of the mean worsening
must stay below the margin. Differences by image are taken as normal; for large n the answers are the textbook's
((z_level + z_0.9) sd / (2 margin))^2 and ((z_alpha + z_0.9) sd / margin)^2. Those of hits, in {-1, 0, 1}, are taken as
multinomial and tested by McNemar's exact test, whose sizes Connor (1987) approximates by a formula.
"""

import math
from collections.abc import Callable
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
GRID = (np.arange(256) + 0.5) / 256  # probabilities at which an estimated standard deviation is looked at
WIDEST = 100  # standard deviations that a margin may be
HALVINGS = 30  # steps to find one
REACH = 9  # standard deviations of a count beyond which nothing happens


class Spread(NamedTuple):
    """The differences by image of one cell, as they are expected to be."""

    sd: float  # standard deviation in the metric's own unit; of hits the root of the share of images that change
    hits: bool = False


def to_catch(spread: Spread, margin: float, level: float) -> float:
    """Images with 90 % power to find a worsening of twice the margin at a one-sided level; inf where none have it."""
    power = _hits_caught if spread.hits else _caught
    return _smallest(lambda n: power(n, spread.sd, margin, level), _fewest(level)) if margin > 0 else math.inf


def to_pass(spread: Spread, margin: float, alpha: float) -> float:
    """Images with 90 % power that the upper bound of no worsening, at level 1 - alpha, stays below the margin."""
    power = _hits_passed if spread.hits else _passed
    return _smallest(lambda n: power(n, spread.sd, margin, alpha), FEWEST) if margin > 0 else math.inf


def tells(spread: Spread, n: int, level: float, alpha: float) -> float:
    """The least margin for which n images are enough to catch and to pass; inf where they are too few for any."""

    def enough(margin: float) -> bool:
        powers = (_hits_caught, _hits_passed) if spread.hits else (_caught, _passed)
        return all(power(n, spread.sd, margin, p) >= POWER for power, p in zip(powers, (level, alpha), strict=True))

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


def _caught(n: int, sd: float, margin: float, level: float) -> float:
    """P(mean > margin and what both tests ask for), over the estimated standard deviation, which it is independent of.

    Student's t asks for its quantile times the standard error. Flipped signs of x have the variance sum x^2, mean and
    all, so that theirs asks for sqrt(n) mean > z sqrt(variance + mean^2).
    """
    error, z2 = sd / math.sqrt(n), special.ndtri(1 - level) ** 2
    if not error or n <= z2:
        return float(n > z2)
    quantiles = special.stdtrit(n - 1, 1 - level), math.sqrt(z2 * (n - 1) / (n - z2))
    bar = np.maximum(margin, max(quantiles) * error * _estimated(n))
    return float(special.ndtr((TWICE * margin - bar) / error).mean())


def _passed(n: int, sd: float, margin: float, alpha: float) -> float:
    """P(mean + quantile x standard error < margin) while the mean is 0."""
    error = sd / math.sqrt(n)
    room = margin - special.stdtrit(n - 1, 1 - alpha) * error * _estimated(n)
    return float(special.ndtr(room / error).mean()) if error else 1.0


def _estimated(n: int) -> Numbers:
    """Quantiles of an estimated standard deviation over the true one, (len(GRID),)."""
    return np.asarray(np.sqrt(special.chdtri(n - 1, GRID) / (n - 1)))


def _hits_caught(n: int, sd: float, margin: float, level: float) -> float:
    """P(McNemar's exact p < level and mean > margin); `changed` images change, of which `lost` lose their hit."""
    worse = min(TWICE * margin, 1.0)
    apart = max(sd**2, worse)  # at the least, all that change get worse
    changed, likely = _counts(n, apart)
    bar = np.maximum(_critical(changed, level), np.floor((changed + n * margin) / 2) + 1)
    lost = np.where(bar > changed, 0.0, special.bdtrc(bar - 1, changed, (1 + worse / apart) / 2))
    return float(likely @ lost)


def _hits_passed(n: int, sd: float, margin: float, alpha: float) -> float:
    """P(Bonett and Price's upper bound < margin) while as many hits are won as lost.

    With c that change, the bound of d more lost than won is (d + z sqrt(c + 2 - d^2 / (n + 2))) / (n + 2).
    """
    changed, likely = _counts(n, sd**2)
    z2, wide = special.ndtri(1 - alpha) ** 2, margin * (n + 2)
    slope = 1 + z2 / (n + 2)
    most = (wide - np.sqrt(np.maximum(wide**2 - slope * (wide**2 - z2 * (changed + 2)), 0))) / slope  # d at the margin
    lost = np.ceil((most + changed) / 2) - 1
    return float(likely @ np.where(lost < 0, 0.0, special.bdtr(np.clip(lost, 0, changed), changed, 0.5)))


def _counts(n: int, share: float) -> tuple[Counts, Numbers]:
    """Counts of n that a share may give, and how likely each is."""
    reach = REACH * math.sqrt(n * share * (1 - share)) + REACH
    counts = np.arange(max(0, math.floor(n * share - reach)), min(n, math.ceil(n * share + reach)) + 1)
    missing = n - counts
    ways = special.gammaln(n + 1) - special.gammaln(counts + 1) - special.gammaln(missing + 1)
    return counts, np.exp(ways + special.xlogy(counts, share) + special.xlog1py(missing, -share))


def _critical(changed: Counts, level: float) -> Numbers:
    """The fewest losses among the images that change whose exact one-sided p is below the level; more where none is."""
    start = np.floor(changed / 2 + special.ndtri(1 - level) * np.sqrt(changed) / 2)
    steps = start[:, None] + np.arange(-REACH, 2 * REACH)  # the normal bound is off by a few
    tails = np.where(steps < 1, 1.0, special.bdtrc(np.clip(steps - 1, 0, changed[:, None]), changed[:, None], 0.5))
    return np.asarray(np.where(tails < level, steps, np.inf).min(axis=1))


def _smallest(power: Callable[[int], float], fewest: int) -> float:
    """The fewest images whose power is enough, by doubling and halving; inf above MOST."""
    high = fewest
    while power(high) < POWER:
        if high > MOST:
            return math.inf
        high *= 2
    low = max(fewest, high // 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle + 1, high)
    return float(high)
