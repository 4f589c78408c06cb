"""CAM: the activations that the head pools, weighted by the head."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.adapters import VisionModel
from xai_bench.errors import UnsupportedError
from xai_bench.explainers.cam.layered import positive, weighted
from xai_bench.explainers.explainer import OnePass
from xai_bench.explainers.look import Seen, Sight
from xai_bench.explainers.upsample import upsample
from xai_bench.types import ExplainerCard, Maps


@dataclass(frozen=True)
class ClassActivationMap(OnePass):
    """sum_c w_c A_c with the head's weights w of the class, at the layer whose mean over space a linear head reads.

    With its sign: the mean of the cells is the logit without its bias. That layer is found by trying it out, and need
    not be the model's target layer (MobileNetV2 has a convolution behind its last block). Refused where there is none:
    VGG and MobileNetV3 have more than a linear layer behind the pooling, ConvNeXt a norm, a ViT reads its class token.
    The weights are taken as what the pooled features' gradient is, so that contrasts and groups of classes have
    theirs. Constant only where all weights are 0.
    """

    card: ClassVar = ExplainerCard(
        "cam",
        source="Zhou et al. 2016, arXiv:1512.04150, section 2",
        summary="activations before the pooling, weighted by the linear head",
        family="cam",
        passes="1 F + 1 B",
    )

    relu: bool = False

    def sights(self, model: VisionModel) -> frozenset[Sight]:
        if not model.pooled_layer:
            raise UnsupportedError(
                f"model {model.label!r} has no linear head that reads a layer's mean over space, so 'cam' does not "
                "exist for it; 'gradcam' and 'hirescam' need no such head"
            )
        return frozenset({Sight("layer", model.pooled_layer)})

    def read(self, seen: Seen) -> Maps:
        layer = seen.model.pooled_layer
        weights = seen.gradients(layer).sum((2, 3))  # d logit / d mean
        return upsample(positive(weighted(seen.activations(layer), weights), relu=self.relu), seen.images)
