"""Edges of the image, whatever the model."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from skimage.filters import sobel

from xai_bench.adapters import VisionModel
from xai_bench.adapters.model import LUMA
from xai_bench.explainers.explainer import Explainer
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class Edges(Explainer):
    """Magnitude of the Sobel gradient of the image's luminance (scikit-image)."""

    card: ClassVar = ExplainerCard(
        "edges",
        source="control; Adebayo et al. 2018, arXiv:1810.03292",
        summary="Sobel edges of the image",
        kind="control",
        family="control",
    )

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:  # noqa: ARG002
        weights = images.new_tensor(LUMA).view(3, 1, 1)
        luminance = (images * weights).sum(1).cpu().numpy()
        edges = np.stack([sobel(image) for image in luminance]).astype(np.float32)
        return torch.from_numpy(edges).to(images.device)
