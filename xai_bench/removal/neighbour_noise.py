"""Removed pixels take noise between the darkest and the brightest of their neighbours."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from xai_bench.adapters import VisionModel
from xai_bench.catalogue import check_values
from xai_bench.errors import InvalidValueError
from xai_bench.removal.removal import PixelRemoval
from xai_bench.seeding import Noise
from xai_bench.types import Card, Images


@dataclass(frozen=True)
class NeighbourNoise(PixelRemoval):
    """Each removed pixel takes, in each channel, a number drawn between the least and greatest of its neighbourhood.

    The neighbourhood is the window of width x width pixels around it in the clean image, itself included, cut off at
    the border. So it hides fine texture and hardly any colour: a pixel of an even area stays as it is. An image has
    one draw, the same at every step of a curve.

    Source: ours, after Quantus' `neighbourhood_random_min_max`, whose range is over a whole patch and all channels
    together, and which none of Quantus' own perturbations calls with a patch.
    """

    card: ClassVar[Card] = Card(
        name="neighbour_noise",
        source="ours; a relative of Quantus' 'neighbourhood_random_min_max'",
        summary="removed pixels take noise between the least and greatest of their neighbours",
    )

    width: int = 3  # of the window, in pixels; odd

    def __post_init__(self) -> None:
        check_values(self)
        if self.width < 3 or self.width % 2 == 0:
            raise InvalidValueError(
                f"width of removal neighbour_noise must be an odd number of pixels from 3 on, got {self.width!r}"
            )

    def prepare(self, model: VisionModel, images: Images, noise: Noise) -> Tensor:  # noqa: ARG002
        """The noise, (B, 3, H, W)."""
        low, high = -_highest(-images, self.width), _highest(images, self.width)
        return torch.lerp(low, high, noise.uniform(*images.shape[1:]).to(images))


def _highest(images: Images, width: int) -> Tensor:
    return functional.max_pool2d(images, width, stride=1, padding=width // 2)
