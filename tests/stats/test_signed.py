"""Tests of paired differences against scipy and against p-values known on paper."""

import numpy as np
import pytest
from made_runs import run_of
from scipy import stats

from xai_bench.stats import paired, power, signed
from xai_bench.stats.intervals import student

RNG = np.random.default_rng(0)
CASES = {
    "exact, no ties": RNG.normal(0.3, 1, (30, 5)),
    "ties and zeros": RNG.integers(-3, 5, (40, 5)).astype(float),
    "many": RNG.normal(0.05, 1, (200, 5)),
    "few": RNG.normal(0.3, 1, (9, 5)),
}


@pytest.mark.parametrize("values", CASES.values(), ids=CASES)
def test_wilcoxon_is_scipys(values):
    expected = [stats.wilcoxon(column).pvalue for column in values.T]

    assert signed.wilcoxon(values) == pytest.approx(np.array(expected))


def test_columns_of_a_kind_are_judged_alike_beside_columns_of_another():
    both = np.column_stack([CASES["ties and zeros"][:30, 0], CASES["exact, no ties"][:, 0]])

    assert signed.wilcoxon(both) == pytest.approx(np.array([stats.wilcoxon(column).pvalue for column in both.T]))


def test_six_wins_of_six_are_two_in_64():
    assert signed.wilcoxon(np.arange(1.0, 7.0)[:, None]) == pytest.approx(2 / 64)
    assert signed.permutation(np.arange(1.0, 7.0)[:, None]) == pytest.approx(2 / 64)


def test_few_differences_with_ties_are_judged_exactly_however_many_images_there_are():
    apart = np.array([0.5, 0.5, 0.5, -0.5, 0.25, 0.25, 1])
    expected = stats.wilcoxon(apart, method=stats.PermutationMethod(n_resamples=np.inf)).pvalue

    assert signed.wilcoxon(np.append(apart, np.zeros(500))[:, None]) == pytest.approx(expected)


def test_where_nothing_differs_nothing_is_found():
    assert signed.wilcoxon(np.zeros((20, 1))) == 1
    assert signed.permutation(np.zeros((20, 1))) == 1
    assert signed.sign(np.zeros((20, 1))) == 1
    assert signed.rank_biserial(np.zeros((20, 1))) == 0


def test_all_sign_flips_of_few_differences_are_scipys():
    values = CASES["few"][:, 0]
    found = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)

    assert signed.permutation(values[:, None]) == pytest.approx(found.pvalue)


def test_random_sign_flips_of_many_are_close_to_scipys_and_always_the_same():
    values = CASES["exact, no ties"]
    found = [
        stats.permutation_test((column,), np.mean, permutation_type="samples", rng=np.random.default_rng(0)).pvalue
        for column in values.T
    ]

    assert signed.permutation(values) == pytest.approx(np.array(found), abs=0.02)
    assert (signed.permutation(values) == signed.permutation(values)).all()


def test_permutation_is_never_zero():
    assert signed.permutation(np.full((500, 1), 0.1)) == pytest.approx(1e-4)


def test_sign_test_is_scipys_binomial_test_on_the_images_that_differ():
    hits = np.array([1, 1, 1, 1, 1, -1] + 20 * [0], float)[:, None]

    assert signed.sign(hits) == pytest.approx(stats.binomtest(1, 6).pvalue)


def test_hits_are_judged_by_the_images_on_which_two_disagree():
    rng = np.random.default_rng(0)
    a, b = rng.random(200) < 0.8, rng.random(200) < 0.6
    row = paired(run_of(("m", "a", "hit", a), ("m", "b", "hit", b))).iloc[0]

    assert row["p"] == pytest.approx(stats.binomtest(int((a & ~b).sum()), int((a ^ b).sum())).pvalue)
    assert row["low"] < row["difference"] < row["high"]


@pytest.mark.parametrize(("values", "effect"), [([1, 2, 3], 1), ([1, 2, -3], 0), ([2, -1], 1 / 3), ([-1, -4], -1)])
def test_rank_biserial_is_the_worked_example(values, effect):
    assert signed.rank_biserial(np.array(values, float)[:, None]) == pytest.approx(effect)


def test_the_test_can_be_chosen():
    a, b = np.random.default_rng(0).random((2, 40))
    run = run_of(("m", "a", "quality", a), ("m", "b", "quality", b))

    assert paired(run).iloc[0]["p"] == pytest.approx(stats.wilcoxon(a - b).pvalue)
    assert paired(run, test="permutation").iloc[0]["p"] == pytest.approx(signed.permutation((a - b)[:, None])[0])


def test_an_undefined_image_changes_no_permutation():
    a, b = np.random.default_rng(0).random((2, 40))
    whole = run_of(("m", "a", "quality", a), ("m", "b", "quality", b))
    missing = run_of(("m", "a", "quality", [*a, np.nan]), ("m", "b", "quality", [*b, 0.5]))

    expected = paired(whole, test="permutation").iloc[0]["p"]
    assert paired(missing, test="permutation").iloc[0]["p"] == pytest.approx(expected, abs=0.02)


def test_images_needed_are_the_formulas():
    values = np.array([0.5 + 1, 0.5 - 1] * 50)[:, None]
    spread = values.std(ddof=1)
    expected = (1.959964 + 0.841621) ** 2 * spread**2 / 0.25  # 31.7

    assert power.needed_images(values) == np.ceil(expected) == 32
    assert power.needed_hits(np.repeat([1.0, -1.0, 0.0], [20, 10, 70])[:, None]) == 234  # 233.1 by hand


def test_images_that_ranks_need_are_those_by_hand():
    """2 adds up to more than 0 with each, -1 with three in four: 15/16 in the mean, with a spread of 0.10825."""
    values = np.tile([2.0, 2.0, 2.0, -1.0], 500)[:, None]
    expected = (1.959964 / np.sqrt(3) + 0.841621 * 2 * 0.10825) ** 2 / (15 / 16 - 1 / 2) ** 2  # 9.02

    assert power.needed_ranks(values) == np.ceil(expected) == 10
    assert power.needed_ranks(-values) == 10


@pytest.mark.parametrize("needed", [power.needed_images, power.needed_ranks])
def test_images_needed_are_nan_where_nothing_differs_and_never_below_six(needed):
    assert np.isnan(needed(np.array([[1.0], [-1.0]]))).all()
    assert np.isnan(needed(np.zeros((5, 1)))).all()
    assert needed(np.full((9, 1), 0.1) + np.linspace(0, 1e-3, 9)[:, None]) == 6


def test_no_number_of_images_is_named_where_mean_and_ranks_disagree():
    assert np.isnan(power.needed_ranks(np.repeat([30.0, -1.0], [15, 85])[:, None])).all()


SHAPES = {
    "normal": lambda rng, shape: rng.normal(0.3, 1, shape),
    "skewed": lambda rng, shape: rng.exponential(1, shape) - 0.7,
    "heavy tails": lambda rng, shape: 0.6 * rng.standard_t(3, shape) + 0.2,
    "half without a difference": lambda rng, shape: rng.normal(0.5, 1, shape) * (rng.random(shape) < 0.5),
}


@pytest.mark.parametrize("draw", SHAPES.values(), ids=SHAPES)
def test_as_many_images_as_needed_tell_the_difference_four_times_in_five(draw):
    rng = np.random.default_rng(0)
    n = int(power.needed_ranks(draw(rng, (100_000, 1)))[0])
    values = draw(rng, (n, 1000))
    low, high = student(values)

    assert 0.74 < ((signed.wilcoxon(values) < 0.05) & ((low > 0) | (high < 0))).mean() < 0.84
