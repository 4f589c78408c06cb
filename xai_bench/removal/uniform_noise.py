"""Removed pixels take uniform noise."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.catalogue import check_values
from xai_bench.errors import InvalidValueError
from xai_bench.removal.removal import PixelRemoval
from xai_bench.seeding import Noise
from xai_bench.types import Card, Images


@dataclass(frozen=True)
class UniformNoise(PixelRemoval):
    """Independent uniform noise in RGB in the place of removed pixels, one number per pixel and channel.

    An image has one field of noise: what stands in a removed pixel is the same at every step of a curve. Quantus'
    "uniform" draws anew at every step, unseeded, in [0, 1] of the normalised image; RGB is ours.
    """

    card: ClassVar[Card] = Card(
        name="uniform_noise",
        source="as in the RFxG score and Quantus ('uniform'); seeded and in RGB: ours",
        summary="removed pixels take uniform noise",
    )

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        check_values(self)
        if not 0 <= self.low < self.high <= 1:
            raise InvalidValueError(
                f"removal uniform_noise needs 0 <= low < high <= 1, got low {self.low!r} and high {self.high!r}"
            )

    def prepare(self, model: VisionModel, images: Images, noise: Noise) -> Tensor:  # noqa: ARG002
        """The noise, (B, 3, H, W)."""
        return self.low + (self.high - self.low) * noise.uniform(*images.shape[1:]).to(images)
