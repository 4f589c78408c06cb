"""Removed pixels take one colour."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.removal.removal import PixelRemoval
from xai_bench.seeding import Noise
from xai_bench.types import Card, Images

COLOURS = {"black": (0.0, 0.0, 0.0), "grey": (0.5, 0.5, 0.5), "white": (1.0, 1.0, 1.0)}
# What an image's own colour is, of the normalised image: (B, 3, H, W) -> (B, 3 or 1, 1, 1)
OF_THE_IMAGE: Mapping[str, Callable[[Tensor], Tensor]] = {
    "image_mean": lambda values: values.mean((2, 3), keepdim=True),
    "image_scalar_mean": lambda values: values.mean((1, 2, 3), keepdim=True),
    "image_min": lambda values: values.amin((1, 2, 3), keepdim=True),
    "image_max": lambda values: values.amax((1, 2, 3), keepdim=True),
}
NAMES = (*COLOURS, "mean", *OF_THE_IMAGE)


@dataclass(frozen=True)
class Fill(PixelRemoval):
    """One colour in the place of removed pixels.

    `black`, `grey` and `white` are 0, 0.5 and 1 in RGB; `mean` is the model's mean colour, zero after normalisation;
    InterpretDL's "gray 127" is (127 / 255,) * 3. The image's own colours are taken once, from the clean image:
    `image_mean` is the mean of each channel; `image_scalar_mean`, `image_min` and `image_max` are one number over all
    channels of the normalised image, put into every channel, so that in RGB they may be tinted and leave [0, 1].

    Source: RISE (1806.07421), section 4.1, for `mean`. Quantus 0.6 calls `image_min` "black", `image_max` "white" and
    `image_scalar_mean` "mean", but takes "mean" anew from the perturbed image at every step, so that it drifts with
    what was removed; ours does not. A colour that is neither a known name (UnknownNameError) nor (r, g, b) in [0, 1]
    (InvalidValueError) is refused.
    """

    card: ClassVar[Card] = Card(
        name="fill",
        source="Petsiuk et al. 2018 (RISE), section 4.1, with colour 'mean'",
        summary="removed pixels take one colour",
    )

    colour: str | tuple[float, ...] = "mean"  # a name among NAMES, or (r, g, b) in [0, 1]

    def __post_init__(self) -> None:
        if isinstance(self.colour, str):
            if self.colour not in NAMES:
                raise UnknownNameError.of("colour", self.colour, NAMES)
        elif not _is_rgb(self.colour):
            raise InvalidValueError(f"colour must be {', '.join(NAMES)} or (r, g, b) in [0, 1], got {self.colour!r}")

    def prepare(self, model: VisionModel, images: Images, noise: Noise) -> Tensor:  # noqa: ARG002
        """The colour, (B, 3, 1, 1)."""
        if self.colour in OF_THE_IMAGE:
            return _own(images, model, OF_THE_IMAGE[str(self.colour)])
        return images.new_tensor(self._rgb(model)).view(3, 1, 1).expand(len(images), 3, 1, 1)

    def _rgb(self, model: VisionModel) -> tuple[float, ...]:
        if not isinstance(self.colour, str):
            return self.colour
        return model.mean if self.colour == "mean" else COLOURS[self.colour]


def _own(images: Images, model: VisionModel, colour: Callable[[Tensor], Tensor]) -> Tensor:
    """The image's own colour, found after normalisation and brought back before it."""
    mean, std = (images.new_tensor(each).view(3, 1, 1) for each in (model.mean, model.std))
    return colour(model.normalise(images)) * std + mean


def _is_rgb(colour: object) -> bool:
    return isinstance(colour, tuple) and len(colour) == 3 and all(_is_share(part) for part in colour)


def _is_share(part: object) -> bool:
    return isinstance(part, int | float) and not isinstance(part, bool) and 0 <= part <= 1
