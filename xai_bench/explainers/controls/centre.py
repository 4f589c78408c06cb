"""Nearness to the middle of the image."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from xai_bench.adapters import VisionModel
from xai_bench.explainers.explainer import Explainer
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class Centre(Explainer):
    """1 minus the distance to the image's centre in units of the farthest pixel's: 0 in the corners, never negative."""

    card: ClassVar = ExplainerCard(
        "centre", source="control", summary="nearness to the image centre", kind="control", family="control", version=2
    )

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:  # noqa: ARG002
        height, width = images.shape[2:]
        rows = torch.arange(height, device=images.device) - (height - 1) / 2
        columns = torch.arange(width, device=images.device) - (width - 1) / 2
        distance = torch.hypot(rows[:, None], columns[None])
        return (1 - distance / distance.max().clamp(min=1)).expand(len(images), -1, -1).clone()
