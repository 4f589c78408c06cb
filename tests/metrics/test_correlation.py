"""Correlations of rows against scipy, their error against leaving out one entry after the other."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from xai_bench.metrics.correlation import (
    CORRELATIONS,
    pearson,
    pearson_error,
    spearman,
    spearman_error,
    without_correlation,
)

PEERS = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}
generator = torch.Generator().manual_seed(5)
A = torch.randn(6, 40, dtype=torch.float64, generator=generator)
B = A * 0.5 + torch.randn(6, 40, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("digits", [8, 0], ids=["distinct", "tied"])
def test_correlations_are_those_of_scipy(name, digits):
    a, b = A.round(decimals=digits), B.round(decimals=digits)
    expected = [PEERS[name](x, y)[0] for x, y in zip(a.numpy(), b.numpy(), strict=True)]

    assert CORRELATIONS[name](a, b).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", PEERS)
def test_entries_that_are_not_there_do_not_count(name):
    a, b = A.clone(), B.clone()
    a[:, 30:], b[:, 30:] = math.nan, math.nan

    without = CORRELATIONS[name](A[:, :30], B[:, :30]).tolist()

    assert CORRELATIONS[name](a, b).tolist() == pytest.approx(without, abs=1e-14)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_scale_and_shift_do_not_count(scale):
    moved = pearson(A * scale - 3 * scale, B)

    assert moved.tolist() == pytest.approx(pearson(A, B).tolist(), abs=1e-12)
    assert spearman(A * scale, B.exp()).tolist() == pytest.approx(spearman(A, B).tolist(), abs=1e-12)


def test_the_error_is_that_of_leaving_out_one_entry_after_the_other():
    def jackknife(x, y):
        left = [stats.pearsonr(np.delete(x, i), np.delete(y, i))[0] for i in range(len(x))]
        return math.sqrt((len(x) - 1) * np.var(left))

    expected = [jackknife(x, y) for x, y in zip(A.numpy(), B.numpy(), strict=True)]

    assert pearson_error(A, B).tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("measure", "error"), [(pearson, pearson_error), (spearman, spearman_error)])
def test_the_error_is_the_spread_over_other_draws(measure, error):
    a = torch.randn(400, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    b = a + torch.randn(400, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    assert error(a, b).mean().item() == pytest.approx(measure(a, b).std().item(), rel=0.1)


def test_what_has_no_correlation_is_said():
    flat, wild = torch.full((1, 3), 2.0, dtype=torch.float64), torch.tensor([[1.0, math.inf, 2.0]]).double()
    some = torch.tensor([[1.0, 2.0, 4.0]]).double()
    shorter = torch.tensor([[1.0, 1.0, math.nan]]).double()

    assert without_correlation(some, some) == ("",)
    assert without_correlation(flat, some) == ("all subset sums are equal",)
    assert without_correlation(shorter, some) == ("all subset sums are equal",)
    assert without_correlation(some, flat) == ("all drops are equal",)
    assert without_correlation(some, wild) == ("model output is not finite",)
