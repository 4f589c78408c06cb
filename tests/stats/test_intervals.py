"""Intervals against scipy and against numbers known on paper."""

import numpy as np
import pytest
from scipy import stats

from xai_bench.stats.intervals import MANY, bonett_price, ends, expanded_bca, johnson, student, wilson

SKEWED = np.random.default_rng(0).beta(0.5, 4, (60, 20))


def test_expanded_bca_is_scipys_bca_at_the_wider_level():
    n = len(SKEWED)
    wider = 2 * stats.norm.cdf(stats.t.ppf(0.975, n - 1) * np.sqrt(n / (n - 1))) - 1
    rng = np.random.default_rng(1)
    found = stats.bootstrap((SKEWED,), np.mean, n_resamples=20_000, confidence_level=wider, batch=2000, rng=rng)

    apart = (np.array(expanded_bca(SKEWED)) - np.array(found.confidence_interval)) / (SKEWED.std(axis=0) / np.sqrt(n))
    assert np.abs(apart).max() < 0.4  # 2,000 resamples: chance in single ends
    assert np.abs(apart.mean(axis=1)).max() < 0.05


def test_students_interval_is_scipys():
    low, high = stats.ttest_1samp(SKEWED, 0).confidence_interval()

    assert np.array(student(SKEWED)) == pytest.approx(np.array([low, high]))


def test_wilson_is_scipys():
    scores = np.repeat([[1.0], [0.0]], [8, 3], axis=0)
    found = stats.binomtest(8, 11).proportion_ci(0.95, method="wilson")

    assert np.array(wilson(scores)).ravel() == pytest.approx([found.low, found.high])


@pytest.mark.parametrize("hits", [0.0, 1.0])
def test_wilson_never_leaves_the_unit_interval(hits):
    low, high = wilson(np.full((7, 1), hits))

    assert low[0] >= 0
    assert high[0] <= 1


def test_bonett_and_price_is_the_worked_example():
    half = 1.959964 * np.sqrt(0.02 / 100)  # 98 images without a difference: 1 win and 1 loss in 100

    assert np.array(bonett_price(np.zeros((98, 1)))).ravel() == pytest.approx([-half, half])


def test_above_many_images_the_formula_takes_over_where_both_agree():
    scores = np.random.default_rng(0).exponential(size=(MANY, 1))

    apart = np.array(johnson(scores)) - np.array(expanded_bca(scores))
    assert np.abs(apart).max() < 0.1 * np.ptp(np.array(johnson(scores)))
    assert np.array(expanded_bca(np.vstack([scores, [[1.0]]]))) == pytest.approx(
        np.array(johnson(np.vstack([scores, [[1.0]]])))
    )


def test_many_columns_are_judged_as_one_at_a_time():
    scores = np.random.default_rng(0).random((30, 1200))  # more than are judged at once
    together = np.array(ends(scores, expanded_bca))

    assert together[:, [0, 600, 1199]] == pytest.approx(
        np.hstack([ends(scores[:, [column]], expanded_bca) for column in (0, 600, 1199)]), abs=1e-12
    )


def test_of_fewer_than_five_images_it_is_students():
    assert np.array(expanded_bca(SKEWED[:4])) == pytest.approx(np.array(student(SKEWED[:4])))


def test_ends_stay_between_the_lowest_and_the_highest_score():
    scores = np.zeros((20, 1))
    scores[0] = 1
    low, high = expanded_bca(scores)

    assert 0 <= low[0] < high[0] <= 1


@pytest.mark.parametrize("n", [100, 200])
def test_of_bounded_scores_93_to_97_in_100_intervals_hold_the_truth(n):
    rng = np.random.default_rng(n)
    for a, b in ((2, 5), (0.5, 4), (0.5, 0.5)):
        low, high = ends(rng.beta(a, b, (n, 2000)), expanded_bca)
        assert 0.93 <= np.mean((low <= a / (a + b)) & (a / (a + b) <= high)) <= 0.97


def test_at_20_skewed_scores_it_does_better_than_plain_bca():
    low, high = ends(np.random.default_rng(1).beta(8, 0.5, (20, 2000)), expanded_bca)

    assert np.mean((low <= 8 / 8.5) & (high >= 8 / 8.5)) > 0.925  # plain BCa: 0.908
