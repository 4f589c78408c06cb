"""Claims: what holds on paper, how often the interval holds the truth, and when nothing is decided."""

import numpy as np
import pytest

from xai_bench.claims import HELD, OPEN, REFUTED, Claim, judge, pigeonhole
from xai_bench.errors import InvalidValueError
from xai_bench.stats import interval


def claim(values, against=None, above=0.0) -> Claim:
    return Claim("says", "ours", "measured", np.array(values), None if against is None else np.array(against), above)


def noisy(seed: int, mean: float, spread: float, images: int = 80, seeds: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, spread, (seeds, images))


@pytest.mark.parametrize(("mean", "expected"), [(1.0, HELD), (-1.0, REFUTED)])
def test_a_clear_difference_is_decided(mean, expected):
    found = judge(claim(noisy(0, mean, 0.5)))

    assert found.verdict == expected
    assert found.low < found.mean < found.high
    assert max(found.p) < 1e-6
    assert (found.n, found.undefined, len(found.per_seed)) == (80, 0, 3)


def test_noise_about_the_bound_is_open():
    assert judge(claim(noisy(1, 0.0, 1.0))).verdict == OPEN


def test_one_training_that_disagrees_leaves_it_open():
    values = np.vstack([noisy(0, 5, 0.1, seeds=8), noisy(1, -0.1, 0.1, seeds=1)])
    found = judge(claim(values))

    assert found.low > 0
    assert found.verdict == OPEN


def test_the_bound_itself_is_not_above_it():
    exact = np.full((3, 10), 0.25)

    assert judge(claim(exact, above=0.25)).verdict == REFUTED
    assert judge(claim(exact, above=0.2)).verdict == HELD
    assert judge(claim(exact)).mean == 0.25


def test_a_margin_asks_for_no_more_than_it():
    values = noisy(2, -0.01, 0.02)

    assert judge(claim(values)).verdict == REFUTED
    assert judge(claim(values, above=-0.05)).verdict == HELD


def test_a_relative_change_is_that_of_the_means():
    base = noisy(3, 2.0, 0.1)
    found = judge(claim(base * 1.5, base, above=0.35))

    assert found.mean == pytest.approx(0.5)
    assert found.low == pytest.approx(found.high)
    assert found.verdict == HELD
    assert judge(claim(base * 1.3, base, above=0.35)).verdict == REFUTED


def test_a_lower_score_is_a_gain_where_both_are_negated():
    base = noisy(4, 2.0, 0.1)

    assert judge(claim(-base / 2, -base)).mean == pytest.approx(0.5)


def test_undefined_images_leave_and_are_counted():
    values = noisy(5, 1.0, 0.1)
    values[1, 3] = np.nan
    found = judge(claim(values))

    assert found.undefined == 1
    assert found.mean == pytest.approx(np.nanmean(values))
    assert found.verdict == HELD


def test_an_undefined_side_of_a_relative_change_takes_its_pair_along():
    base = noisy(6, 2.0, 0.1)
    values = base * 1.5
    base[0, 0] = np.nan

    assert judge(claim(values, base)).mean == pytest.approx(0.5)


def test_one_number_per_training_gives_students_interval():
    found = judge(claim([1.0, 2.0, 3.0]))

    assert (found.mean, found.n) == (2.0, 1)
    assert found.high - 2 == pytest.approx(4.302653 / np.sqrt(3), abs=1e-5)  # t of 2 degrees of freedom at 97.5 %
    assert found.verdict == OPEN
    assert all(np.isnan(p) for p in found.p)


@pytest.mark.parametrize("values", [noisy(7, 1.0, 0.1, seeds=1), np.array([1.0]), np.full((3, 4), np.nan)])
def test_too_little_is_open(values):
    found = judge(claim(values))

    assert found.verdict == OPEN
    assert np.isnan(found.low)


def test_with_trainings_alike_it_is_the_bootstrap_over_images():
    values = np.random.default_rng(8).normal(0.2, 1, 400)
    found, known = judge(claim(np.tile(values, (3, 1)))), interval(values)

    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=0.02)


def test_the_ends_of_many_quantities_are_those_of_each():
    values = noisy(3, 0.2, 1, images=30 * 4).reshape(3, 30, 4)
    low, high = pigeonhole(values, np.ones_like(values))

    for number in range(4):
        alone = judge(claim(values[..., number]))
        assert (low[number], high[number]) == pytest.approx((alone.low, alone.high))
    assert np.isnan(pigeonhole(values[:1], np.ones((1, 30, 4)))).all()
    assert np.isnan(pigeonhole(values, np.zeros_like(values))).all()


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        random = np.random.default_rng((9, seed))
        values = random.normal(0, 1, (1, 60)) + random.normal(0, 0.1, (6, 1)) + random.normal(0, 0.5, (6, 60))
        found = judge(claim(values))
        covered += found.low <= 0 <= found.high

    assert 180 <= covered <= 200  # 190 expected; the pigeonhole bootstrap errs on the side of width


def test_the_same_values_give_the_same_interval():
    assert judge(claim(noisy(1, 0.1, 1.0))) == judge(claim(noisy(1, 0.1, 1.0)))


@pytest.mark.parametrize(
    ("values", "against", "above", "message"),
    [
        (np.zeros((0, 3)), None, 0.0, "values of a claim must be (seeds, images) or (seeds,), not empty, got (0, 3)"),
        (np.zeros((1, 1, 1)), None, 0.0, "values of a claim must be (seeds, images) or (seeds,), not empty, got (1, 1"),
        (np.zeros(3), np.zeros(2), 0.0, "against of a claim must have the shape of values, (3,), got (2,)"),
        (np.zeros(3), None, np.nan, "above of a claim must be a finite number, got nan"),
    ],
)
def test_what_cannot_be_judged_is_refused(values, against, above, message):
    with pytest.raises(InvalidValueError) as refusal:
        claim(values, against, above)

    assert str(refusal.value).startswith(message)
