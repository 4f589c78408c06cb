"""The object itself: the ceiling of localisation."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from xai_bench.adapters import VisionModel
from xai_bench.explainers.explainer import Explainer
from xai_bench.types import Batch, ExplainerCard, Images, Maps, Regions, Targets


@dataclass(frozen=True)
class Region(Explainer):
    """The object itself: 1 inside its region, 0 outside. Undefined, and nan, where an image has no region.

    The best possible map for localisation. For faithfulness it is strong where the object is the cause, but a model
    that looks elsewhere, or at a part of it, can have a more faithful one.
    """

    card: ClassVar = ExplainerCard(
        "region",
        source="control",
        summary="the object's own region",
        kind="ceiling",
        family="control",
        needs=frozenset({"regions"}),
    )

    def __call__(self, model: VisionModel, images: Images, targets: Targets, regions: Regions | None) -> Maps:  # type: ignore[override]  # noqa: ARG002
        if regions is None:
            return torch.full_like(images[:, 0], torch.nan)
        return regions.float().masked_fill(~regions.flatten(1).any(1)[:, None, None], torch.nan)

    def lacks(self, batch: Batch) -> tuple[str, ...]:
        if batch.regions is None:
            return ("no region",) * len(batch)
        return tuple("" if there else "no region" for there in batch.regions.flatten(1).any(1).tolist())
