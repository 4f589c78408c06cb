"""What paired worsenings say, against paper, scipy.stats and a straight line."""

import itertools

import numpy as np
import pytest
from scipy import stats

from xai_bench.gate.worsening import estimate, of_set, sign_flip, sign_test, student

RNG = np.random.default_rng(0)
DRAWN = RNG.normal(0.05, 0.2, 40)


def test_students_p_and_bounds_are_those_of_scipy():
    expected = stats.ttest_1samp(DRAWN, 0, alternative="greater")
    low = expected.confidence_interval(0.95).low
    high = stats.ttest_1samp(DRAWN, 0, alternative="less").confidence_interval(0.95).high

    assert student(DRAWN) == pytest.approx(expected.pvalue)
    found = estimate(DRAWN, 0.05)
    assert (found.mean, found.low, found.high) == pytest.approx((DRAWN.mean(), low, high))
    assert found.spread == (pytest.approx(DRAWN.std(ddof=1)), False)


@pytest.mark.parametrize(
    ("values", "p"),
    [
        ([1.0, 2.0, 3.0], 1 / 8),  # only the pattern itself is as large
        ([1.0, 2.0, -3.0], 5 / 8),  # sums from -6 to 6, two of which are 0: five of eight are at least 0
        ([0.0, 0.0, 0.4], 1 / 2),  # images without a difference say nothing
        ([-1.0, -2.0], 1.0),
        ([1.0] * 13 + [0.0] * 50, 2**-13),
    ],
)
def test_few_worsenings_are_judged_by_every_pattern_of_signs(values, p):
    assert sign_flip(np.array(values)) == pytest.approx(p)


@pytest.mark.parametrize("worse", [12, 30, 400])
def test_worsenings_of_one_size_are_judged_as_the_sign_test_would(worse):
    values = np.array([0.2] * worse + [-0.2] * (worse // 2) + [0.0] * 9)
    expected = stats.binomtest(worse, worse + worse // 2, 0.5, alternative="greater").pvalue

    assert sign_flip(values) == pytest.approx(expected)


def test_worsenings_of_few_sizes_in_a_straight_line():
    values = np.array([0.1] * 9 + [-0.1] * 4 + [0.3] * 3)
    signs = np.array(list(itertools.product((-1, 1), repeat=len(values))))

    assert sign_flip(values) == pytest.approx((signs @ np.abs(values) >= values.sum() - 1e-12).mean())


def test_every_pattern_in_a_straight_line():
    values = RNG.normal(0.3, 1, 9)
    sums = [
        sum(s * abs(v) for s, v in zip(signs, values, strict=True)) for signs in itertools.product((-1, 1), repeat=9)
    ]

    assert sign_flip(values) == pytest.approx(np.mean([total >= values.sum() - 1e-12 for total in sums]))


def test_many_worsenings_are_judged_as_a_permutation_test_would():
    found = stats.permutation_test(
        (DRAWN,), np.mean, permutation_type="samples", alternative="greater", n_resamples=20_000, rng=1
    )

    assert sign_flip(DRAWN) == pytest.approx(found.pvalue, abs=0.006)


def test_a_few_equal_worsenings_do_not_convince_though_student_is_sure():
    values = np.array([0.3] * 5 + [0.0] * 15)

    assert student(values) < 0.011
    assert estimate(values, 0.05).p == pytest.approx(1 / 32)


def test_one_great_worsening_among_many_small_gains_does_not_convince_though_signs_might():
    values = np.array([5.0] + [-0.01] * 30)

    assert estimate(values, 0.05).p >= max(student(values), sign_flip(values)) > 0.05


def test_hits_have_mcnemars_exact_test():
    values = np.array([1.0] * 9 + [-1.0] * 2 + [0.0] * 40)

    assert sign_test(values) == pytest.approx(stats.binomtest(9, 11, 0.5, alternative="greater").pvalue)
    assert estimate(values, 0.05, hits=True).p == sign_test(values)
    assert sign_test(-values) == pytest.approx(stats.binomtest(2, 11, 0.5, alternative="greater").pvalue)
    assert sign_test(np.zeros(5)) == 1.0
    assert sign_test(np.array([-1.0, 0.0])) == 1.0


def test_hits_have_bonett_and_prices_bounds():
    values = np.array([1.0] * 9 + [-1.0] * 2 + [0.0] * 40)
    n, z = 53, stats.norm.ppf(0.95)
    worse, better = 10 / n, 3 / n
    half = z * np.sqrt((worse + better - (worse - better) ** 2) / n)

    found = estimate(values, 0.05, hits=True)
    assert (found.low, found.high) == pytest.approx((worse - better - half, worse - better + half))


@pytest.mark.parametrize(("value", "p"), [(0.1, 0.5), (-0.1, 1.0)])
def test_one_image_has_no_bounds(value, p):
    found = estimate(np.array([value]), 0.05)

    assert np.isnan([found.low, found.high, found.spread.sd]).all()
    assert found.p == p


def test_the_same_worsening_everywhere_is_certain():
    found = estimate(np.full(30, 0.1), 0.05)

    assert (found.low, found.high) == pytest.approx((0.1, 0.1))
    assert found.p < 1e-7
    assert estimate(np.full(30, -0.1), 0.05).p == 1.0


def test_a_number_of_a_set_is_judged_by_its_standard_error():
    found = of_set(0.3, 0.1, 21, 0.001, 0.05)

    assert found.p == pytest.approx(stats.t.sf(3, 20))
    assert of_set(0.3, 0.1, 21, 0.2, 0.05).p == 0.2  # both must be convinced
    assert (found.low, found.high) == pytest.approx(
        (0.3 - stats.t.ppf(0.95, 20) * 0.1, 0.3 + stats.t.ppf(0.95, 20) * 0.1)
    )
