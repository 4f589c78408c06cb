"""Gradient rollout: rollout of attention times its gradient."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from xai_bench.explainers.attention.reader import AttentionReader
from xai_bench.explainers.attention.rolling import Attention, gathered, rolled, with_skip
from xai_bench.explainers.attention.tokens import Mixed, Mixing, Row
from xai_bench.types import ExplainerCard


@dataclass(frozen=True)
class GradientRollout(AttentionReader):
    """Rollout of the attention that raises the target's logit: attention times its gradient, negative parts left out.

    `generic`: R <- R + E_h[(G * A)+] R from R = I, without normalisation, as Chefer et al. have it for self-attention.
    `vit_explain`: rollout's own rule on (E_h[G * A])+, the heads' mean before the positive part. Never negative.
    Constant 0, and so undefined for metrics that rank, where no attention raises the logit.
    """

    card: ClassVar = ExplainerCard(
        "gradient_rollout",
        source="Chefer, Gur & Wolf 2021, arXiv:2103.15679, equations 5 and 6; jacobgil/vit-explain",
        summary="attention times its gradient, positive part, multiplied through all blocks",
        family="attention",
        passes="1 F + 1 B",
    )

    rule: Literal["generic", "vit_explain"] = "generic"

    def fused(self, attention: Attention, gradient: Attention) -> Mixing:
        raising = attention * gradient
        return raising.clamp(min=0).mean(1) if self.rule == "generic" else raising.mean(1).clamp(min=0)

    def row(self, mixed: Mixed) -> Row:
        if self.rule == "vit_explain":
            return rolled(mixed, [with_skip(block) for block in mixed.blocks])
        return gathered(mixed)
