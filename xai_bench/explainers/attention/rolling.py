"""Attention rolled out: how much of each token at the bottom is in what is read at the top."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from xai_bench.explainers.attention.tokens import Mixed, Mixing, Row

Attention = Float[Tensor, "B heads M N"]


def with_skip(block: Mixing) -> Mixing:
    """The block's mixing beside its skip connection in equal parts, rows summing to 1 (Abnar & Zuidema 2020)."""
    both = block + torch.eye(block.shape[2], device=block.device)
    return both / both.sum(2, keepdim=True)


def rolled(mixed: Mixed, blocks: Sequence[Mixing]) -> Row:
    """The product read . B_L ... B_1, from the last block down to the first."""
    row = mixed.read
    for block in reversed(blocks):
        row = row @ block
    return row


def gathered(mixed: Mixed) -> Row:
    """The product read . (I + B_L) ... (I + B_1), without what was there before: nothing in a class token's row.

    Pooled patches would each have the same of it, and what the blocks add would drown in its rounding.
    """
    gained = torch.zeros_like(mixed.read)
    for block in reversed(mixed.blocks):
        gained = gained + (mixed.read + gained) @ block
    return mixed.read + gained if mixed.pooled else gained


def without_lowest(mixing: Mixing, share: float) -> Mixing:
    """That share of each matrix's entries, the lowest ones, set to 0."""
    if not share:
        return mixing
    flat = mixing.flatten(1)
    lowest = flat.argsort(dim=1, stable=True)[:, : int(share * flat.shape[1])]
    return flat.scatter(1, lowest, 0.0).view_as(mixing)
