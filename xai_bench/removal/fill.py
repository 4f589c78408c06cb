"""Removed pixels take one colour."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.removal.removal import PixelRemoval
from xai_bench.seeding import Noise
from xai_bench.types import Card, Images

COLOURS = {"black": (0.0, 0.0, 0.0), "grey": (0.5, 0.5, 0.5), "white": (1.0, 1.0, 1.0)}


@dataclass(frozen=True)
class Fill(PixelRemoval):
    """One colour in the place of removed pixels; `mean`, the model's mean colour, is zero after normalisation.

    A colour that is neither a known name (UnknownNameError) nor (r, g, b) in [0, 1] (InvalidValueError) is refused.
    """

    card: ClassVar[Card] = Card(
        name="fill",
        source="Petsiuk et al. 2018 (RISE), section 4.1, with colour 'mean'",
        summary="removed pixels take one colour",
    )

    colour: str | tuple[float, ...] = "mean"  # black, grey, mean, white, or (r, g, b) in [0, 1]

    def __post_init__(self) -> None:
        if isinstance(self.colour, str):
            if self.colour not in (*COLOURS, "mean"):
                raise UnknownNameError.of("colour", self.colour, (*COLOURS, "mean"))
        elif not _is_rgb(self.colour):
            raise InvalidValueError(
                f"colour must be black, grey, mean, white or (r, g, b) in [0, 1], got {self.colour!r}"
            )

    def prepare(self, model: VisionModel, images: Images, noise: Noise) -> Tensor:  # noqa: ARG002
        """The colour, (B, 3, 1, 1)."""
        return images.new_tensor(self._rgb(model)).view(3, 1, 1).expand(len(images), 3, 1, 1)

    def _rgb(self, model: VisionModel) -> tuple[float, ...]:
        if not isinstance(self.colour, str):
            return self.colour
        return model.mean if self.colour == "mean" else COLOURS[self.colour]


def _is_rgb(colour: object) -> bool:
    return isinstance(colour, tuple) and len(colour) == 3 and all(_is_share(part) for part in colour)


def _is_share(part: object) -> bool:
    return isinstance(part, int | float) and not isinstance(part, bool) and 0 <= part <= 1
