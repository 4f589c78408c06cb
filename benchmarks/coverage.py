"""How often 95 % intervals hold the truth and tests cry wolf: 2,000 simulated studies of each kind.

`python -m benchmarks.coverage --out coverage.md` writes the tables of docs/statistics.md. Studies of one size share
their resamples, as the cells of a run do.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from scipy import stats
from tabulate import tabulate

from benchmarks.harness import Line
from benchmarks.jobs import Size
from xai_bench.claims import pigeonhole
from xai_bench.stats import Numbers, holm, power, signed
from xai_bench.stats.estimates import estimate
from xai_bench.stats.intervals import Ends, Method, bonett_price, ends, expanded_bca, johnson, student, wilson
from xai_bench.stats.resampling import resampled_means, tails

STUDIES = 2_000
IMAGES = (10, 20, 50, 100, 200, 1000)
SEED = 6


class Truth(NamedTuple):
    """Scores of images drawn at random: their quantile function and their mean."""

    name: str
    quantile: Callable[[Numbers], Numbers]
    mean: float

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Numbers:
        return self.quantile(rng.random(shape))


class Difference(NamedTuple):
    """Of two scores of the same images: an image that is easy for one is easy for the other (Gaussian copula)."""

    a: Truth
    b: Truth
    correlation: float = 0.5

    @property
    def name(self) -> str:
        return f"{self.a.name} - {self.b.name}"

    @property
    def mean(self) -> float:
        return self.a.mean - self.b.mean

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Numbers:
        ease, own = rng.normal(size=shape), rng.normal(size=shape)
        other = self.correlation * ease + np.sqrt(1 - self.correlation**2) * own
        return self.a.quantile(stats.norm.cdf(ease)) - self.b.quantile(stats.norm.cdf(other))


def beta(a: float, b: float, zero: float = 0.0, one: float = 0.0) -> Truth:
    """A bounded score, 0 for some images and 1 for some: lines between 20,001 quantiles, whose mean is exact."""
    between, grid = 1 - zero - one, np.linspace(0, 1, 20_001)
    knots = stats.beta.ppf(grid, a, b)

    def quantile(u: Numbers) -> Numbers:
        inner = np.interp((u - zero) / between, grid, knots)
        return np.asarray(np.where(u < zero, 0.0, np.where(u > 1 - one, 1.0, inner)))

    parts = [f"{zero:.0%} at 0" * bool(zero), f"{one:.0%} at 1" * bool(one), f"beta({a:g}, {b:g})"]
    return Truth(", ".join(filter(None, parts)), quantile, float(between * np.trapezoid(knots, grid) + one))


def hits(share: float) -> Truth:
    """0 or 1."""
    return Truth(f"hits, {100 * share:g}%", lambda u: (u < share).astype(np.float64), share)


NARROW = Truth("0.5 and a millionth of an exponential", lambda u: 0.5 - 1e-6 * np.log1p(-u), 0.5 + 1e-6)
FOUR_MEAN = float((1 - np.sqrt(np.arange(1, 4) / 4)).sum() / 3)
FOUR = Truth("four values, skewed", lambda u: np.floor(4 * u**2) / 3, FOUR_MEAN)
BOUNDED = (
    *(beta(1, 1), beta(2, 5), beta(0.5, 0.5), beta(1, 9), beta(0.5, 4), beta(8, 0.5)),
    *(beta(2, 5, zero=0.5), beta(2, 2, zero=0.8), beta(2, 5, one=0.5), NARROW, FOUR),
)
EXTREME = (beta(2, 2, zero=0.95), beta(2, 2, zero=0.97), beta(0.1, 5), beta(5, 0.1))
HITS = tuple(map(hits, (0.5, 0.8, 0.95, 0.99, 0.995)))
EXPONENTIAL = Truth("exponential", lambda u: -np.log1p(-u), 1.0)
LOGNORMAL = Truth("lognormal(0, 1)", lambda u: np.exp(stats.norm.ppf(u)), float(np.exp(0.5)))
HEAVY = (EXPONENTIAL, LOGNORMAL, Truth("t, 3 degrees", lambda u: stats.t.ppf(u, 3), 0.0))
SHIFTED = (
    Truth("exponential - 0.7", lambda u: -np.log1p(-u) - 0.7, 0.3),
    Truth("0.6 t + 0.2, 3 degrees", lambda u: 0.6 * stats.t.ppf(u, 3) + 0.2, 0.2),
    Truth("normal(0.3, 1)", lambda u: stats.norm.ppf(u) + 0.3, 0.3),
)  # differences themselves
NULL = Difference(beta(2, 5), beta(2, 5))
SKEWED_NULL = Difference(beta(0.5, 4), beta(2, 16))  # the same mean, another shape
SHAPES = (
    *((beta(0.5, 4), beta(1, 3)), (beta(8, 0.5), beta(2, 2)), (beta(1, 9), beta(2, 2, zero=0.9))),
    (beta(2, 5, zero=0.5), beta(2, 5, zero=0.7)),
)
BOUNDED_DIFFERENCES = (NULL, SKEWED_NULL, *(Difference(*pair) for pair in SHAPES))
HEAVY_DIFFERENCES = (Difference(LOGNORMAL, LOGNORMAL), Difference(LOGNORMAL, EXPONENTIAL))
HIT_DIFFERENCES = tuple(Difference(hits(a), hits(b)) for a, b in ((0.5, 0.5), (0.9, 0.7), (0.95, 0.95)))


def bca(values: Numbers) -> Ends:
    """As scipy has it: normal quantiles."""
    centred = values - values.mean(axis=0)
    means = resampled_means(centred)
    bias = stats.norm.ppf(np.clip(((means < 0).mean(axis=0) + (means <= 0).mean(axis=0)) / 2, 1e-3, 1 - 1e-3))
    skew = (centred**3).sum(axis=0) / (6 * (centred**2).sum(axis=0) ** 1.5)
    shifted = bias + stats.norm.ppf(tails())[:, None]
    at = stats.norm.cdf(bias + shifted / (1 - skew * shifted))
    low, high = (np.array([np.quantile(column, q) for column, q in zip(means.T, side, strict=True)]) for side in at)
    return values.mean(axis=0) + low, values.mean(axis=0) + high


def bootstrap_t(values: Numbers) -> Ends:
    """Quantiles of the resamples' own t statistics."""
    mean, n = values.mean(axis=0), len(values)
    centred = values - mean
    means = resampled_means(centred)
    errors = np.sqrt(np.maximum(resampled_means(centred**2) - means**2, 0) / (n - 1))
    error = values.std(axis=0, ddof=1) / np.sqrt(n)
    lowest, highest = np.quantile(means / np.maximum(errors, 1e-3 * error), tails(), axis=0)
    return mean - highest * error, mean - lowest * error


METHODS: dict[str, Method] = {
    "expanded BCa": expanded_bca,
    "BCa": bca,
    "Student's t": student,
    "Johnson's t": johnson,
    "bootstrap-t": bootstrap_t,
}


@lru_cache(maxsize=4)
def drawn(truth: Truth | Difference, n: int, studies: int = STUDIES) -> Numbers:
    """(n, studies)."""
    return truth.draw(np.random.default_rng((SEED, n)), (n, studies))


def judged(truth: Truth | Difference, n: int, method: Method, studies: int = STUDIES) -> tuple[float, float]:
    """Share of studies whose interval holds the true mean, in per cent, and the median width."""
    low, high = ends(drawn(truth, n, studies), method)
    slack = 1e-12  # a bound of the scores may be the truth
    held = (low <= truth.mean + slack) & (truth.mean - slack <= high)
    return float(100 * held.mean()), float(np.median(high - low))


def by_truth(truths: Sequence[Truth | Difference], method: Method) -> Iterator[list[str]]:
    """Coverage of each truth at each number of images."""
    for truth in truths:
        yield [truth.name, *(f"{judged(truth, n, method)[0]:.1f}" for n in IMAGES)]


def by_method(truths: Sequence[Truth | Difference], n: int) -> Iterator[list[str]]:
    """Coverage of each method, with its width over that of Student's."""
    for truth in truths:
        usual = judged(truth, n, student)[1]
        found = [judged(truth, n, method) for method in METHODS.values()]
        yield [truth.name, *(f"{share:.1f} ({width / usual:.2f})" for share, width in found)]


def levels() -> Iterator[list[str]]:
    """Share of studies of no difference in which p < 0.05, in per cent."""
    cases = {
        "Wilcoxon": (NULL, signed.wilcoxon),
        "permutation": (NULL, signed.permutation),
        "Wilcoxon, same mean but another shape": (SKEWED_NULL, signed.wilcoxon),
        "permutation, same mean but another shape": (SKEWED_NULL, signed.permutation),
        "sign test of hits, 50 %": (HIT_DIFFERENCES[0], signed.sign),
        "sign test of hits, 95 %": (HIT_DIFFERENCES[2], signed.sign),
    }
    for name, (truth, test) in cases.items():
        yield [name, *(f"{100 * (test(drawn(truth, n)) < 0.05).mean():.1f}" for n in IMAGES)]
    yield ["Wilcoxon and interval, same mean but another shape", *(f"{called(n):.1f}" for n in IMAGES)]
    yield ["any of 45 pairs of 10 alike, Holm", *(f"{family_wise(n):.1f}" for n in IMAGES)]


def called(n: int) -> float:
    """Share of studies of equal means in which the test, the interval and the ranks name the same as better."""
    values = drawn(SKEWED_NULL, n)
    low, high = student(values)
    agree = signed.rank_biserial(values) * values.mean(axis=0) > 0
    return float(100 * ((signed.wilcoxon(values) < 0.05) & ((low > 0) | (high < 0)) & agree).mean())


def family_wise(n: int, studies: int = STUDIES // 4, names: int = 10) -> float:
    """Share of studies of equal explainers in which some pair is called different, in per cent."""
    rng, called = np.random.default_rng((SEED, n)), 0
    first, second = np.triu_indices(names, 1)
    for _ in range(studies):
        ease = rng.normal(size=(n, 1))
        scores = stats.norm.cdf(0.5 * ease + rng.normal(size=(n, names)))
        called += (holm(signed.wilcoxon(scores[:, first] - scores[:, second])) < 0.05).any()
    return 100 * called / studies


def over_seeds(images: Sequence[int] = (20, 100), studies: int = STUDIES) -> Iterator[list[str]]:
    """Coverage where trainings differ: images have spread 1 (skewed), what is left 0.5.

    Ours is the wider of crossed and of Student's over the images' means.
    """
    for seeds in (2, 3, 5, 10):
        for spread in (0.0, 0.1, 0.3, 1.0):
            cells = []
            for n in images:
                rng = np.random.default_rng((SEED, n, seeds))
                shape = [(seeds, 1, studies), (1, n, studies), (seeds, n, studies)]
                image = rng.exponential(size=shape[1]) - 1
                scores = spread * rng.normal(size=shape[0]) + image + 0.5 * rng.normal(size=shape[2])
                ours = estimate(scores, np.ones(scores.shape, dtype=bool), student)
                found = (ours.low, ours.high), pigeonhole(scores, np.ones_like(scores), 1000)
                cells += [f"{100 * ((low <= 0) & (high >= 0)).mean():.1f}" for low, high in found]
            yield [str(seeds), f"{spread:g}", *cells]


def powers() -> Iterator[list[str]]:
    """Share of studies of as many images as `needed` says in which test and interval tell the difference, per cent."""
    pairs = ((beta(2, 5), beta(2, 6)), (beta(2, 5), beta(3, 5)), (beta(0.5, 4), beta(1, 4)))
    hit_pairs = ((hits(0.6), hits(0.5)), (hits(0.9), hits(0.7)))
    cases: tuple[tuple[Any, ...], ...] = (
        *(
            (truth, power.needed_ranks, signed.wilcoxon, student)
            for truth in (*(Difference(*pair) for pair in pairs), *SHIFTED)
        ),
        *((Difference(*pair), power.needed_hits, signed.sign, bonett_price) for pair in hit_pairs),
    )
    for truth, needed, test, method in cases:
        n = int(needed(drawn(truth, 200_000, 1))[0])
        values = drawn(truth, n)
        p, (low, high) = test(values), ends(values, method)
        told = ((p < 0.05) & ((low > 0) | (high < 0))).mean()
        yield [truth.name, str(n), f"{100 * (p < 0.05).mean():.1f}", f"{100 * told:.1f}"]


def tables() -> Iterator[str]:
    """Everything, as markdown."""
    sizes = [f"n = {n}" for n in IMAGES]
    for title, truths, method in (
        ("Bounded scores: expanded BCa", BOUNDED, expanded_bca),
        ("Bounded scores, nearly all alike: expanded BCa", EXTREME, expanded_bca),
        ("Scores without bounds: expanded BCa", HEAVY, expanded_bca),
        ("Hits: Wilson", HITS, wilson),
        ("Differences of bounded scores: Student's t", BOUNDED_DIFFERENCES, student),
        ("Differences without bounds: Student's t", HEAVY_DIFFERENCES, student),
        ("Differences of hits: Bonett and Price", HIT_DIFFERENCES, bonett_price),
    ):
        yield titled(title, by_truth(truths, method), ["", *sizes])
    for n in (20, 100):
        truths = (*BOUNDED, EXTREME[0], *HEAVY, *BOUNDED_DIFFERENCES, *HEAVY_DIFFERENCES)
        yield titled(f"Other intervals, n = {n}: coverage (width over Student's)", by_method(truths, n), ["", *METHODS])
    yield titled("False alarms at p < 0.05", levels(), ["", *sizes])
    sides = ["ours, n = 20", "pigeonhole, n = 20", "ours, n = 100", "pigeonhole, n = 100"]
    yield titled("Several seeds", over_seeds(), ["seeds", "spread of seeds", *sides])
    yield titled("Images needed for 80 % power", powers(), ["", "needed", "p < 0.05", "and interval"])


def titled(title: str, rows: Iterator[list[str]], headers: list[str]) -> str:
    """A table with its heading."""
    return f"**{title}**\n\n{tabulate(rows, headers, tablefmt='github', disable_numparse=True)}"


def lines(_size: Size) -> Iterator[Line]:
    """What `make bench` shows: one number for each kind of score."""
    note = "% of 2,000 studies whose 95 % interval holds the truth, over kinds of score"
    for n in (20, 100):
        for name, truths, method in (
            ("bounded scores", BOUNDED, expanded_bca),
            ("hits", HITS, wilson),
            ("differences", BOUNDED_DIFFERENCES, student),
        ):
            yield Line(f"coverage, {name}, n = {n}", tuple(judged(truth, n, method)[0] for truth in truths), note)


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the tables to this file.")
def main(*, out: Path | None) -> None:
    """All tables; about ten minutes on one core."""
    found: list[str] = []
    for table in tables():
        print(table, end="\n\n", flush=True)
        found.append(table)
        if out:
            out.write_text("\n\n".join(found) + "\n")


if __name__ == "__main__":
    sys.exit(main())
