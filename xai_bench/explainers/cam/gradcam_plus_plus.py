"""Grad-CAM++: a layer's activations, weighted by their positive gradients, each with a weight of its own."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from xai_bench.errors import InvalidValueError
from xai_bench.explainers.cam.layered import Cells, Grid, LayerMaps, positive, weighted
from xai_bench.types import ExplainerCard


@dataclass(frozen=True)
class GradCAMPlusPlus(LayerMaps):
    """Positive part of sum_c a_c A_c, a_c = sum over space of alpha max(0, g), g = d logit / d A_c.

    alpha = g^2 / (2 g^2 + g^3 sum A_c), 0 where g is 0. The paper explains exp(logit), whose derivatives are these
    times exp(logit): a factor of the whole map, left out here. Made for activations that are never negative, as after a
    ReLU: where sum A_c may be negative (a transformer, a linear bottleneck) the denominator can come close to 0, and
    one channel take over the map.

    `epsilon` is added to the denominator, 1e-6 as in pytorch-grad-cam; the paper has none. After a ReLU it hardly
    changes the map; elsewhere it keeps the denominator from 0 where gradients are small, as a transformer's are.
    Constant, and so undefined for metrics that rank, where no gradient is positive.
    """

    card: ClassVar = ExplainerCard(
        "gradcam_plus_plus",
        source="Chattopadhyay et al. 2018, arXiv:1710.11063, equations 5, 7 and 19",
        summary="target layer's activations weighted by their positive gradients, positive part",
        family="cam",
        passes="1 F + 1 B",
    )

    epsilon: float = 1e-6
    relu: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.epsilon < float("inf"):
            raise InvalidValueError(f"epsilon of gradcam_plus_plus must be at least 0 and finite, got {self.epsilon:g}")

    def cells(self, activations: Grid, gradients: Grid) -> Cells:
        # in float64, since the denominator may cancel
        total = activations.sum((2, 3), keepdim=True, dtype=torch.float64).to(activations)
        squares = gradients**2
        alpha = squares / (2 * squares + total * squares * gradients + self.epsilon)
        alpha = torch.where(gradients == 0, 0, alpha)
        return positive(weighted(activations, (alpha * gradients.clamp(min=0)).sum((2, 3))), relu=self.relu)
