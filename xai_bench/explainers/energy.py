"""The model's own mask: how much of each token an ERSM model keeps."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from xai_bench.adapters import VisionModel
from xai_bench.errors import UnsupportedError
from xai_bench.ersm import Masked
from xai_bench.explainers.explainer import Explainer
from xai_bench.explainers.upsample import upsample
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class Energy(Explainer):
    """Keep probability of each token of the energy-mask layer, upsampled bilinearly. The same for every target."""

    card: ClassVar = ExplainerCard(
        "energy",
        source="Energy-Regularized Spatial Masking, arXiv:2604.06893",
        summary="keep map of the model's own energy mask",
        kind="intrinsic",
        passes="1 F",
    )

    def unfit(self, model: VisionModel) -> str:
        try:
            model.energy_mask  # noqa: B018
        except UnsupportedError as error:
            return str(error)
        return ""

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:  # noqa: ARG002
        seen: list[Masked] = []
        hook = model.energy_mask.register_forward_hook(lambda _layer, _inputs, output: seen.append(output))
        try:
            with torch.no_grad():
                model(images)
        finally:
            hook.remove()
        return upsample(seen[-1].keep, images)
