"""Grad-CAM: the target layer's activations, weighted by the mean of their gradient."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.explainers.explainer import Explainer
from xai_bench.explainers.upsample import upsample
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class GradCAM(Explainer):
    """Positive part of sum_c a_c A_c at the model's target layer, a_c = mean over space of d logit / d A_c.

    Upsampled bilinearly. Constant, and so undefined for metrics that rank, where every weighted sum is negative.
    Works on CNNs, and on ViT and Swin through their token grid.
    """

    card: ClassVar = ExplainerCard(
        "gradcam",
        source="Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2",
        summary="target layer's activations weighted by their mean gradient, positive part",
        passes="1 F + 1 B",
    )

    relu: bool = True

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:
        logits, activations, grid = model.with_activations(images.detach().clone().requires_grad_())
        gradients = _gradients(logits, targets, activations)
        weights = grid(gradients).mean((2, 3), keepdim=True)
        cam = (weights * grid(activations)).sum(1)
        return upsample(cam.clamp(min=0) if self.relu else cam, images)


def _gradients(logits: Tensor, targets: Targets, activations: Tensor) -> Tensor:
    return torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), activations)[0]
