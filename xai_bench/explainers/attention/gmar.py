"""GMAR: rollout whose heads weigh as much as their gradient is large."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch.linalg import vector_norm

from xai_bench.explainers.attention.reader import AttentionReader
from xai_bench.explainers.attention.rolling import Attention, rolled, with_skip
from xai_bench.explainers.attention.tokens import Mixed, Mixing, Row
from xai_bench.types import ExplainerCard


@dataclass(frozen=True)
class GMAR(AttentionReader):
    """Rollout of heads weighted by the norm of d logit / d A: w_h = |G_h| / sum_h |G_h|, block by block.

    The norm says how much a head matters, not which way, so a map differs little between classes. Never negative.
    `rule="gmar_plus"` is a third party's: R <- R A + I from the first block up, rows not normalised (its min-max at
    the end is left out, since it changes no ranking within an image).
    Where no gradient reaches a block its heads weigh 0 (ours); constant 0 where none reaches any.
    """

    card: ClassVar = ExplainerCard(
        "gmar",
        source="GMAR, 2025, arXiv:2504.19414; soham5498/GMAR-Plus",
        summary="attention rollout with heads weighted by their gradient's norm",
        family="attention",
        passes="1 F + 1 B",
    )

    norm: Literal["L1", "L2"] = "L1"
    rule: Literal["rollout", "gmar_plus"] = "rollout"

    def fused(self, attention: Attention, gradient: Attention) -> Mixing:
        strength = vector_norm(gradient, ord=1 if self.norm == "L1" else 2, dim=(2, 3), keepdim=True)
        weights = strength / strength.sum(1, keepdim=True).clamp(min=1e-30)
        fused: Mixing = (weights * attention).sum(1)
        return fused

    def row(self, mixed: Mixed) -> Row:
        if self.rule == "rollout":
            return rolled(mixed, [with_skip(block) for block in mixed.blocks])
        row = mixed.read
        for block in mixed.blocks:
            row = row @ block + mixed.read
        return row
