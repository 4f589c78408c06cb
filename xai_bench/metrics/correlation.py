"""Correlations of rows, (B, S) float64, and their error; entries that are nan in `a` are not there."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

Rows = Float64[Tensor, "B S"]
Similarity = Literal["pearson", "spearman"]


def pearson(a: Rows, b: Rows) -> Float64[Tensor, " B"]:
    """Linear correlation of each row; nan where a side does not vary."""
    a, b, _ = _centred(a, b)
    return ((a * b).sum(1) / (a.square().sum(1).sqrt() * b.square().sum(1).sqrt())).clamp(-1, 1)


def spearman(a: Rows, b: Rows) -> Float64[Tensor, " B"]:
    """Linear correlation of the ranks of each row; equal values share the mean of their ranks."""
    return pearson(*_both_ranked(a, b))


def pearson_error(a: Rows, b: Rows) -> Float64[Tensor, " B"]:
    """Jackknife standard error of `pearson` over the entries of a row."""
    a, b, there = _centred(a, b)
    count = there.sum(1, keepdim=True).double()
    share = count / (count - 1)  # leaving entry i out takes n / (n - 1) a_i b_i from the sum of centred products
    aa, bb, ab = (u.sum(1, keepdim=True) - share * u for u in (a * a, b * b, a * b))
    left = ab / (aa.clamp(min=0).sqrt() * bb.clamp(min=0).sqrt())
    mean = left.where(there, 0).sum(1, keepdim=True) / count
    return ((left - mean).where(there, 0).square().sum(1) / share[:, 0]).sqrt()


def spearman_error(a: Rows, b: Rows) -> Float64[Tensor, " B"]:
    """Jackknife standard error of the ranks' correlation, the ranks being kept."""
    return pearson_error(*_both_ranked(a, b))


Statistic = Callable[[Rows, Rows], Tensor]
CORRELATIONS: Mapping[Similarity, Statistic] = {"pearson": pearson, "spearman": spearman}
ERRORS: Mapping[Similarity, Statistic] = {"pearson": pearson_error, "spearman": spearman_error}


def without_correlation(sums: Rows, drops: Rows) -> tuple[str, ...]:
    """Why each row has no correlation, "" where it has one."""
    there = ~sums.isnan()
    finite = (drops.isfinite() | ~there).all(1).tolist()
    flat = (_is_constant(side, there).tolist() for side in (sums, drops))
    return tuple(
        "" if good and not (same_sums or same_drops)
        else "model output is not finite" if not good
        else "all subset sums are equal" if same_sums
        else "all drops are equal"
        for good, same_sums, same_drops in zip(finite, *flat, strict=True)
    )  # fmt: skip


def _is_constant(values: Rows, there: Tensor) -> Tensor:
    high, low = (values.where(there, fill) for fill in (-torch.inf, torch.inf))
    return high.amax(1) <= low.amin(1) if values.shape[1] else torch.ones(len(values), dtype=torch.bool)


def _centred(a: Rows, b: Rows) -> tuple[Rows, Rows, Tensor]:
    """Both sides minus their means, 0 where there is no entry, and where there is one."""
    there = ~a.isnan()
    count = there.sum(1, keepdim=True)
    a, b = (side - side.where(there, 0).sum(1, keepdim=True) / count for side in (a, b))
    return a.where(there, 0), b.where(there, 0), there


def _both_ranked(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    there = ~a.isnan()
    a, b = (_ranked(side.where(there, torch.inf)) for side in (a, b))
    return a.where(there, torch.nan), b


def _ranked(values: Rows) -> Rows:
    """Rank of each value among its row, from 1; equal values share the mean of theirs."""
    ordered = values.sort(1).values
    below, up_to = (torch.searchsorted(ordered, values, right=right) for right in (False, True))
    return (below + up_to + 1).double() / 2
