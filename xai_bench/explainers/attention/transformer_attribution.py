"""Transformer attribution: attention's relevance, propagated through the whole transformer, times its gradient."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from xai_bench.adapters import VisionModel
from xai_bench.explainers.attention.passed import passed, uncovered
from xai_bench.explainers.attention.rolling import gathered
from xai_bench.explainers.attention.tokens import as_map, mixed
from xai_bench.explainers.explainer import Explainer
from xai_bench.types import ExplainerCard, Images, Maps, Targets

PIECE = 8  # images at once: every block's activations are kept, in double precision


@dataclass(frozen=True)
class TransformerAttribution(Explainer):
    """Rollout of E_h[(gradient of attention * relevance of attention)+], relevance by the deep Taylor rules.

    The target's logit is dealt out over what the head reads, and from there through every linear layer, skip
    connection, attention product and block; what reaches a block's attention matrix is its relevance, all blocks'
    together being kept. R = (I + A_L) ... (I + A_1), the class token's row over the patches (the mean row where patches
    are pooled; ours). Never negative. Constant 0, and so undefined for metrics that rank, where nothing raises the
    logit. Covers timm's VisionTransformer with plain blocks and refuses others by name. All is done in double precision
    (its divisions by sums that nearly cancel need it), and beside the passes it costs about two of each in arithmetic.
    """

    card: ClassVar = ExplainerCard(
        "transformer_attribution",
        source="Chefer, Gur & Wolf 2021, arXiv:2012.09838, section 3",
        summary="attention's gradient times its relevance, propagated through the whole transformer",
        family="attention",
        passes="1 F + 1 B",
    )

    def unfit(self, model: VisionModel) -> str:
        return uncovered(model)

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:
        pieces = [slice(start, start + PIECE) for start in range(0, len(images), PIECE)]
        return torch.cat([self._maps(model, images[piece], targets[piece]) for piece in pieces])

    def _maps(self, model: VisionModel, images: Images, targets: Targets) -> Maps:
        blocks = passed(model, images, targets)
        raising = [(block.gradient * block.relevance).clamp(min=0).mean(1) for block in blocks]
        return as_map(model, gathered(mixed(model, raising)), images)
