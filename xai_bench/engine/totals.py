"""Sums of a map over what masks hide, exact, so that equal sums are equal whatever the order of addition."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float64
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

PART = 16  # masks that are summed at a time


def totals(values: Tensor, hidden: Bool[Tensor, "S H W"]) -> Float64[Tensor, " S"]:
    """Sum of values (H, W) over each mask; what is not finite counts as 0.

    Values are rounded to whole multiples of a power of two, some 2^-45 of the largest, whose sums in int64 are exact.
    """
    values = values.double().nan_to_num(0.0, 0.0, 0.0)
    largest = values.abs().amax().item()
    shift = 62 - values.numel().bit_length() - math.frexp(largest)[1]
    whole = (values * math.ldexp(1.0, shift)).round().long()
    parts = [torch.where(part, whole, 0).sum((1, 2)) for part in torch.split(hidden, PART)]
    sums = torch.cat(parts) if parts else whole.new_empty(0)
    return (sums.double() * math.ldexp(1.0, -shift)).cpu()


def stacked(rows: Sequence[Float64[Tensor, " _"]]) -> Float64[Tensor, "B S"]:
    """Rows of different lengths, with nan beyond a row's end."""
    if not rows:
        return torch.empty(0, 0, dtype=torch.float64)
    return pad_sequence(list(rows), batch_first=True, padding_value=math.nan)
