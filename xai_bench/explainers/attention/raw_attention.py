"""Raw attention: what the class token attends to in the last block."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.explainers.attention.reader import AttentionReader
from xai_bench.explainers.attention.rolling import Attention
from xai_bench.explainers.attention.rollout import BLIND
from xai_bench.explainers.attention.tokens import Mixed, Mixing, Row
from xai_bench.types import ExplainerCard


@dataclass(frozen=True)
class RawAttention(AttentionReader):
    """The class token's attention to each patch in the last block, mean over heads. The same for every class.

    Never negative. Of patches as the last block sees them, into which the blocks before have mixed others. Without a
    class token: the mean row of what is pooled (ours), or, where attention pools, what that attends to.
    """

    card: ClassVar = ExplainerCard(
        "raw_attention",
        source="Caron et al. 2021, arXiv:2104.14294, section 4; as a baseline in Chefer et al. 2021, arXiv:2012.09838",
        summary="the class token's attention in the last block",
        family="attention",
        passes="1 F",
        exempt={"targets": BLIND},
    )
    gradient: ClassVar = False

    def fused(self, attention: Attention, gradient: Attention) -> Mixing:  # noqa: ARG002
        return attention.mean(1)

    def row(self, mixed: Mixed) -> Row:
        return mixed.read if mixed.pooled else mixed.read @ mixed.blocks[-1]
