"""Grad-CAM: the target layer's activations, weighted by the mean of their gradient."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.adapters import VisionModel
from xai_bench.explainers.explainer import OnePass
from xai_bench.explainers.look import Seen, Sight
from xai_bench.explainers.upsample import upsample
from xai_bench.types import ExplainerCard, Maps


@dataclass(frozen=True)
class GradCAM(OnePass):
    """Positive part of sum_c a_c A_c at the model's target layer, a_c = mean over space of d logit / d A_c.

    Upsampled bilinearly. Constant, and so undefined for metrics that rank, where every weighted sum is negative.
    Works on CNNs, and on ViT and Swin through their token grid.
    """

    card: ClassVar = ExplainerCard(
        "gradcam",
        source="Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2",
        summary="target layer's activations weighted by their mean gradient, positive part",
        family="cam",
        passes="1 F + 1 B",
    )

    relu: bool = True

    def sights(self, model: VisionModel) -> frozenset[Sight]:
        model.layer_at()  # refused here where there is none
        return frozenset({Sight("layer")})

    def read(self, seen: Seen) -> Maps:
        weights = seen.gradients().mean((2, 3), keepdim=True)
        cam = (weights * seen.activations()).sum(1)
        return upsample(cam.clamp(min=0) if self.relu else cam, seen.images)
