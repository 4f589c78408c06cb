"""Integrated gradients, as captum computes them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from captum.attr import IntegratedGradients as CaptumIntegratedGradients

from xai_bench.adapters import VisionModel
from xai_bench.errors import InvalidValueError
from xai_bench.explainers.explainer import Explainer
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class IntegratedGradients(Explainer):
    """(image - baseline) times the gradient of the target's logit averaged on the line between, summed over colours.

    Gauss-Legendre quadrature with `steps` points. Signed.
    """

    card: ClassVar = ExplainerCard(
        "ig",
        source="Sundararajan, Taly & Yan 2017, arXiv:1703.01365, equation 1; captum's implementation",
        summary="gradients averaged on the line from a baseline to the image",
        family="gradient",
        passes="steps F + steps B",
    )

    steps: int = 32
    baseline: Literal["black", "mean"] = "black"  # mean: the model's mean colour, zero after normalisation

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1:
            raise InvalidValueError(f"steps must be at least 1, got {self.steps}")

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:
        colour = images.new_tensor(model.mean if self.baseline == "mean" else (0.0, 0.0, 0.0)).view(1, 3, 1, 1)
        maps: torch.Tensor = CaptumIntegratedGradients(model).attribute(
            images.detach().clone(),
            baselines=colour.expand_as(images),
            target=targets,
            n_steps=self.steps,
            internal_batch_size=max(len(images), 32),  # bounded memory whatever the number of steps
        )
        return maps.sum(1).float()
