"""What the explainers that read recorded attention share."""

from abc import abstractmethod
from typing import ClassVar

from xai_bench.adapters import VisionModel
from xai_bench.explainers.attention.rolling import Attention
from xai_bench.explainers.attention.tokens import Mixed, Mixing, Row, as_map, mixed, tokens
from xai_bench.explainers.explainer import OnePass
from xai_bench.explainers.look import Seen, Sight
from xai_bench.types import Maps


class AttentionReader(OnePass):
    """A map of the patches, from how the tokens of each block mix and what the logits read of the last block's."""

    gradient: ClassVar[bool] = True  # whether it weighs attention by its gradient

    def sights(self, model: VisionModel) -> frozenset[Sight]:
        tokens(model)  # refuses what is not covered
        return frozenset({Sight("attention", gradient=self.gradient)})

    def read(self, seen: Seen) -> Maps:
        gradients = seen.attention_gradients if self.gradient else seen.attention  # unread in the second case
        pairs = zip(seen.attention, gradients, strict=True)
        found = mixed(seen.model, [self.fused(matrix, gradient) for matrix, gradient in pairs])
        return as_map(seen.model, self.row(found), seen.images)

    @abstractmethod
    def fused(self, attention: Attention, gradient: Attention) -> Mixing:
        """One matrix of a block's heads, or of the heads that pool."""

    @abstractmethod
    def row(self, mixed: Mixed) -> Row:
        """A number per token, from the fused matrices of all blocks."""
