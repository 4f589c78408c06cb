"""Controls: maps that know nothing of the model, the floor that every table shows."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from skimage.filters import sobel

from xai_bench.adapters import VisionModel
from xai_bench.explainers.explainer import Explainer
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Maps, Targets


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
