"""The benchmark of coverage is right about the truths that intervals must hold."""

import numpy as np
import pytest

from benchmarks import coverage

TRUTHS = (
    *(*coverage.BOUNDED, *coverage.EXTREME, *coverage.HITS, coverage.EXPONENTIAL, coverage.LOGNORMAL),
    *(*coverage.BOUNDED_DIFFERENCES, *coverage.HIT_DIFFERENCES, *coverage.HEAVY_DIFFERENCES),
)


@pytest.mark.parametrize("truth", TRUTHS, ids=lambda truth: truth.name)
def test_scores_have_the_mean_that_is_said(truth):
    scores = coverage.drawn(truth, 200_000, 1)

    assert abs(scores.mean() - truth.mean) < 5 * scores.std() / np.sqrt(scores.size)


def test_an_interval_that_is_too_narrow_is_found_out():
    def narrow(values):
        mean, half = values.mean(axis=0), values.std(axis=0) / np.sqrt(len(values))
        return mean - half, mean + half

    assert coverage.judged(coverage.BOUNDED[0], 50, narrow)[0] == pytest.approx(68.3, abs=3)


def test_scores_of_a_difference_go_together():
    difference = coverage.Difference(coverage.BOUNDED[0], coverage.BOUNDED[0])

    assert coverage.drawn(difference, 100_000, 1).var() == pytest.approx(2 / 12 * (1 - 0.483), rel=0.05)
