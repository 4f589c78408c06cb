"""What a paper says, as a number that must lie above a bound, judged over trainings and images."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from xai_bench.errors import InvalidValueError
from xai_bench.stats import LEVEL, RESAMPLES, SEED, Numbers

Judgement = Literal["held", "refuted", "open"]
HELD: Judgement = "held"
REFUTED: Judgement = "refuted"
OPEN: Judgement = "open"


@dataclass(frozen=True, eq=False)
class Claim:
    """A sentence, and the quantity that it says is above a bound.

    `values` are (seeds, images), one row per training, the same images in each, or (seeds,) where a training has one
    number; nan is undefined. The quantity is their mean or, with `against` of the same shape, the relative change
    mean(values - against) / |mean(against)|. For a metric where lower is better hand in both negated.
    """

    says: str  # "the energy order is better than the magnitude order"
    source: str  # "arXiv 2604.06893, abstract", or "ours"
    measured: str  # what stands for it, with its unit
    values: NDArray[np.floating]
    against: NDArray[np.floating] | None = None
    above: float = 0.0
    note: str = ""
    where: str = ""  # of which data, model or measure, where the same is said of several

    def __post_init__(self) -> None:
        if self.values.ndim not in (1, 2) or not self.values.size:
            raise InvalidValueError(
                f"values of a claim must be (seeds, images) or (seeds,), not empty, got {self.values.shape}"
            )
        if self.against is not None and self.against.shape != self.values.shape:
            raise InvalidValueError(
                f"against of a claim must have the shape of values, {self.values.shape}, got {self.against.shape}"
            )
        if not np.isfinite(self.above):
            raise InvalidValueError(f"above of a claim must be a finite number, got {self.above!r}")


class Verdict(NamedTuple):
    """The quantity with its 95 % interval, and whether the claim held; nan where there is nothing to say."""

    mean: float
    low: float
    high: float
    per_seed: tuple[float, ...]  # the quantity of each training
    p: tuple[float, ...]  # of each training: Wilcoxon's signed-rank test by image against the bound, two-sided
    n: int  # images of a training, or 1
    undefined: int  # among seeds x images
    verdict: Judgement


def judge(claim: Claim) -> Verdict:
    """Held: the interval and every training lie above the bound. Refuted: all lie at or below it. Else open.

    The interval is a bootstrap that draws trainings and images anew, each by itself (Owen 2007, "The pigeonhole
    bootstrap"); from few trainings it understates how much they differ, which is why each must agree by itself. Where
    a training has one number, or where there is one image, it is Student's, over trainings. One training alone decides
    nothing.
    """
    values, against = (_table(part) for part in (claim.values, claim.against))
    if claim.against is None:
        against = np.where(np.isnan(values), np.nan, 1.0)  # mean(v) is mean(v) over a mean of 1
    defined = ~(np.isnan(values) | np.isnan(against))
    top = np.where(defined, values if claim.against is None else values - against, 0.0)
    bottom = np.where(defined, against, 0.0)
    each = _ratio(top.sum(1), bottom.sum(1))
    mean = float(_ratio(top.sum(keepdims=True), bottom.sum(keepdims=True))[0, 0])
    low, high = _student(each) if values.shape[1] == 1 else map(float, pigeonhole(top, bottom))
    return Verdict(
        mean,
        low,
        high,
        tuple(map(float, each)),
        tuple(_signed_rank(claim, row, base, kept) for row, base, kept in zip(values, against, defined, strict=True)),
        values.shape[1],
        int((~defined).sum()),
        _verdict(claim.above, low, high, each),
    )


def _table(values: NDArray[np.floating] | None) -> Numbers:
    """(seeds, images) in float64; a claim without `against` has none."""
    found = np.full((1, 1), np.nan) if values is None else np.asarray(values, np.float64)
    return found[:, None] if found.ndim == 1 else found


def _ratio(top: Numbers, bottom: Numbers) -> Numbers:
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.divide(top, np.abs(bottom))
    return np.where(np.isfinite(found), found, np.nan)


def pigeonhole(top: Numbers, bottom: Numbers, resamples: int = RESAMPLES) -> tuple[Numbers, Numbers]:
    """Low and high end of the 95 % interval of sum(top) / |sum(bottom)|, of (seeds, images, ...): of each `...`.

    Trainings and images are drawn anew, each by itself; nan where there are fewer than two of either, or where no draw
    has a ratio. Terms that are not there are 0 in both.
    """
    seeds, images = top.shape[:2]
    if seeds < 2 or images < 2:
        return np.full(top.shape[2:], np.nan), np.full(top.shape[2:], np.nan)
    trainings, pictures = _draws(seeds, images, resamples)
    drawn = [np.einsum("rs,srt->rt", trainings, pictures @ part.reshape(seeds, images, -1)) for part in (top, bottom)]
    found = _ratio(*drawn)
    empty = np.isnan(found).all(axis=0)
    found[:, empty] = 0.0
    ends = np.nanquantile(found, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    low, high = np.where(empty, np.nan, ends).reshape(2, *top.shape[2:])
    return np.asarray(low), np.asarray(high)


@lru_cache(maxsize=4)
def _draws(seeds: int, images: int, resamples: int) -> tuple[Numbers, Numbers]:
    """How often each training and each image is drawn, (resamples, seeds) and (resamples, images)."""
    random = np.random.default_rng((SEED, seeds, images))
    drawn = (random.multinomial(count, np.full(count, 1 / count), size=resamples) for count in (seeds, images))
    trainings, pictures = (one.astype(np.float64) for one in drawn)
    return trainings, pictures


def _student(each: Numbers) -> tuple[float, float]:
    known = each[~np.isnan(each)]
    if len(known) < 2:
        return np.nan, np.nan
    if np.ptp(known) == 0:
        return float(known[0]), float(known[0])
    low, high = stats.t.interval(LEVEL, len(known) - 1, known.mean(), known.std(ddof=1) / np.sqrt(len(known)))
    return float(low), float(high)


def _signed_rank(claim: Claim, values: Numbers, against: Numbers, kept: NDArray[np.bool_]) -> float:
    """Of values against the bound; of a relative change, of values against (1 + bound) times the others."""
    apart = values - claim.above if claim.against is None else values - against - claim.above * np.abs(against)
    apart = apart[kept]
    if len(apart) < 2 or not apart.any():
        return np.nan
    return float(stats.wilcoxon(apart).pvalue)


def _verdict(above: float, low: float, high: float, each: Numbers) -> Judgement:
    if np.isnan(low) or np.isnan(high) or np.isnan(each).any():
        return OPEN
    if low > above and (each > above).all():
        return HELD
    return REFUTED if high <= above and (each <= above).all() else OPEN
