"""Attention rollout: attention multiplied through the blocks, each beside its skip connection."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from xai_bench.errors import InvalidValueError
from xai_bench.explainers.attention.reader import AttentionReader
from xai_bench.explainers.attention.rolling import Attention, rolled, with_skip, without_lowest
from xai_bench.explainers.attention.tokens import Mixed, Mixing, Row
from xai_bench.types import ExplainerCard

FUSED: Mapping[str, Callable[[Attention, int], Mixing]] = {"mean": torch.mean, "max": torch.amax, "min": torch.amin}
BLIND = "attention is the same whatever class is asked for"


@dataclass(frozen=True)
class Rollout(AttentionReader):
    """How much of each patch is in the class token, were blocks nothing but attention and skip connections.

    R = A_L ... A_1 with A = (heads fused + I) / 2, rows summing to 1; the class token's row over the patches. Never
    negative, the same for every class. Without a class token: the mean row of what is pooled (ours). Wide and grey by
    nature: skip connections keep much of each patch where it is, and the rest is averaged over many paths.
    """

    card: ClassVar = ExplainerCard(
        "rollout",
        source="Abnar & Zuidema 2020, arXiv:2005.00928, section 3; heads and discard: vit-explain",
        summary="attention multiplied through all blocks",
        family="attention",
        passes="1 F",
        exempt={"targets": BLIND},
    )
    gradient: ClassVar = False

    heads: Literal["mean", "max", "min"] = "mean"
    discard: float = 0.0  # share of each fused matrix's entries, the lowest, that count as 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.discard < 1:
            raise InvalidValueError(f"discard of rollout must be at least 0 and below 1, got {self.discard!r}")

    def fused(self, attention: Attention, gradient: Attention) -> Mixing:  # noqa: ARG002
        return without_lowest(FUSED[self.heads](attention, 1), self.discard)

    def row(self, mixed: Mixed) -> Row:
        return rolled(mixed, [with_skip(block) for block in mixed.blocks])
