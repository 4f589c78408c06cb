"""The same everywhere: the floor of metrics that do not rank."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from xai_bench.adapters import VisionModel
from xai_bench.explainers.explainer import Explainer
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class Constant(Explainer):
    """1 at each pixel. Undefined, for it is constant, for metrics that rank; there `random` is the floor."""

    card: ClassVar = ExplainerCard(
        "constant", source="control", summary="the same everywhere", kind="control", family="control"
    )

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:  # noqa: ARG002
        return torch.ones_like(images[:, 0])
