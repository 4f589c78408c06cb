"""The model's own mask: what an ERSM model keeps of each token, and at what price."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from xai_bench.adapters import VisionModel
from xai_bench.errors import UnsupportedError
from xai_bench.ersm import Masked
from xai_bench.explainers.explainer import Explainer
from xai_bench.explainers.upsample import upsample
from xai_bench.types import ExplainerCard, Images, Maps, Targets

SOURCE = "Energy-Regularized Spatial Masking, arXiv:2604.06893"


class _OwnMask(Explainer):
    """What the two maps share: they need a model with an energy mask, and read what it computed."""

    def unfit(self, model: VisionModel) -> str:
        try:
            model.energy_mask  # noqa: B018
        except UnsupportedError as error:
            return str(error)
        return ""


@dataclass(frozen=True)
class Energy(_OwnMask):
    """Keep probability of each token of the energy-mask layer, upsampled bilinearly. The same for every target."""

    card: ClassVar = ExplainerCard(
        "energy",
        source=SOURCE,
        summary="keep map of the model's own energy mask",
        kind="intrinsic",
        family="intrinsic",
        passes="1 F",
        exempt={"targets": "the mask is the same whatever class is asked for"},
    )

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:  # noqa: ARG002
        return upsample(_seen(model, images).keep, images)


@dataclass(frozen=True)
class EnergyField(_OwnMask):
    """Minus the energy of each token, upsampled bilinearly: high where keeping it is cheap. The same for every target.

    E = unary_weight sp(z) + pairwise_weight sp(sum of <u, u'> over 8 neighbours). The unary part falls where keep
    rises, so without a pairwise price the field ranks tokens exactly as `energy` does. The pairwise part is never
    learnt: it makes tokens dear that resemble their neighbours, and those at the border cheap, which have fewer.
    Where the mask is open sp(z) is nearly 0, and the field ranks by that price alone: odd tokens and borders first.
    Constant, and so undefined for metrics that rank, where both weights are 0.
    """

    card: ClassVar = ExplainerCard(
        "energy_field",
        source=SOURCE,
        summary="minus the energy of the model's own mask, pairwise price included",
        kind="intrinsic",
        family="intrinsic",
        passes="1 F",
        exempt={"targets": "the mask is the same whatever class is asked for"},
    )

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:  # noqa: ARG002
        return upsample(-_seen(model, images).energy, images)


def _seen(model: VisionModel, images: Images) -> Masked:
    """What the energy mask computes in the model's forward pass."""
    seen: list[Masked] = []
    hook = model.energy_mask.register_forward_hook(lambda _layer, _inputs, output: seen.append(output))
    try:
        with torch.no_grad():
            model(images)
    finally:
        hook.remove()
    return seen[-1]
