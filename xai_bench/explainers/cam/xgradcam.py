"""XGrad-CAM: a layer's activations, weighted by the mean of their gradient where they are active."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from xai_bench.explainers.cam.layered import Cells, Grid, LayerMaps, positive, weighted
from xai_bench.types import ExplainerCard


@dataclass(frozen=True)
class XGradCAM(LayerMaps):
    """Positive part of sum_c a_c A_c, a_c = the mean of d logit / d A_c with A_c / sum A_c as weights of the cells.

    A channel that sums to 0 has no such weights and is left out: after a ReLU it is 0 everywhere. Where activations
    have both signs (a transformer, a linear bottleneck), one whose sum comes close to 0 can take over the map.
    Equal to Grad-CAM where the gradient is the same in all cells. Constant, and so undefined for metrics that rank,
    where every weighted sum is negative.
    """

    card: ClassVar = ExplainerCard(
        "xgradcam",
        source="Fu et al. 2020, arXiv:2008.02312, equation 8",
        summary="target layer's activations weighted by their gradient where they are active, positive part",
        family="cam",
        passes="1 F + 1 B",
    )

    relu: bool = True

    def cells(self, activations: Grid, gradients: Grid) -> Cells:
        total = activations.sum((2, 3))
        weights = torch.where(total == 0, 0, (activations * gradients).sum((2, 3)) / total)
        return positive(weighted(activations, weights), relu=self.relu)
