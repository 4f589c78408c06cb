"""The mask under which a COMET model's predictor sees the image."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from xai_bench.adapters import VisionModel
from xai_bench.explainers.explainer import Explainer
from xai_bench.explainers.intrinsic.own import own, refusal
from xai_bench.intrinsic import CometModel
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class Selection(Explainer):
    """How much of each pixel the predictor sees, in [0, 1]. The same for every target."""

    card: ClassVar = ExplainerCard(
        "selection",
        source="COMET, Zhang et al. 2024, arXiv:2407.19308",
        summary="mask of the model's own selector",
        kind="intrinsic",
        family="intrinsic",
        passes="1 F",
        exempt={"targets": "the selector is not told which class is asked for"},
    )

    def unfit(self, model: VisionModel) -> str:
        return refusal(model, CometModel, self.card.name, "comet:")

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:  # noqa: ARG002
        module = own(model, CometModel, self.card.name, "comet:")
        with torch.no_grad():
            return module.selection(model.normalise(images))
