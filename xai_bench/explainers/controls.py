"""Controls: maps that know nothing of the model. The floor that every table shows, and the object as the ceiling."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from skimage.filters import sobel

from xai_bench.adapters import VisionModel
from xai_bench.explainers.explainer import Explainer
from xai_bench.seeding import Noise
from xai_bench.types import Batch, ExplainerCard, Images, Maps, Regions, Targets


@dataclass(frozen=True)
class Random(Explainer):
    """An independent uniform number at each pixel, the same for a sample at every call."""

    card: ClassVar = ExplainerCard(
        "random", source="control", summary="independent noise at each pixel", kind="control"
    )

    def __call__(self, model: VisionModel, images: Images, targets: Targets, noise: Noise) -> Maps:  # type: ignore[override]  # noqa: ARG002
        return noise.uniform(*images.shape[2:]).to(images.device)


@dataclass(frozen=True)
class Centre(Explainer):
    """1 minus the distance to the image's centre in units of the farthest pixel's: 0 in the corners, never negative."""

    card: ClassVar = ExplainerCard(
        "centre", source="control", summary="nearness to the image centre", kind="control", version=2
    )

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:  # noqa: ARG002
        height, width = images.shape[2:]
        rows = torch.arange(height, device=images.device) - (height - 1) / 2
        columns = torch.arange(width, device=images.device) - (width - 1) / 2
        distance = torch.hypot(rows[:, None], columns[None])
        return (1 - distance / distance.max().clamp(min=1)).expand(len(images), -1, -1).clone()


@dataclass(frozen=True)
class Edges(Explainer):
    """Magnitude of the Sobel gradient of the image's luminance (scikit-image)."""

    card: ClassVar = ExplainerCard(
        "edges",
        source="control; Adebayo et al. 2018, arXiv:1810.03292",
        summary="Sobel edges of the image",
        kind="control",
    )

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:  # noqa: ARG002
        weights = images.new_tensor((0.299, 0.587, 0.114)).view(3, 1, 1)  # ITU-R BT.601 luma
        luminance = (images * weights).sum(1).cpu().numpy()
        edges = np.stack([sobel(image) for image in luminance]).astype(np.float32)
        return torch.from_numpy(edges).to(images.device)


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
