"""Grad-CAM: a layer's activations, weighted by the mean of their gradient."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.explainers.cam.layered import Cells, Grid, LayerMaps, positive, weighted
from xai_bench.types import ExplainerCard


@dataclass(frozen=True)
class GradCAM(LayerMaps):
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

    def cells(self, activations: Grid, gradients: Grid) -> Cells:
        return positive(weighted(activations, gradients.mean((2, 3))), relu=self.relu)
