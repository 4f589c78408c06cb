"""Removed pixels take the colour of their blurred surroundings."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from xai_bench.adapters import VisionModel
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.removal.removal import PixelRemoval
from xai_bench.seeding import Noise
from xai_bench.types import Card, Images

TRUNCATE = 4.0  # standard deviations, as in scipy.ndimage
DEFAULT_SIGMA = 0.1
RISE_WIDTH, RISE_SIGMA = 11, 5.0  # pixels


@dataclass(frozen=True)
class Blur(PixelRemoval):
    """The blurred image in the place of removed pixels.

    `gaussian`: reflected at the border (the edge pixel not repeated), cut off at 4 sigma or, where that is nearer, at
    the last pixel a reflection can reach. `rise`: the 11 x 11 kernel of RISE's code for insertion, nearly a box, zero
    padding on the normalised image, whatever the resolution; `blur@rise` is the same.

    Source: RISE (1806.07421) blurs the substrate of insertion; the gaussian in units of the image is ours.
    """

    card: ClassVar[Card] = Card(
        name="blur",
        source="Petsiuk et al. 2018 (RISE), section 4.1; kernel 'rise' as in eclique/RISE",
        summary="removed pixels take the colour of their blurred surroundings",
    )
    protocols: ClassVar = {"rise": {"kernel": "rise"}}

    sigma: float | None = None  # in sides, of the image's shorter one; 0.1 unless given, and none for `rise`
    kernel: str = "gaussian"  # or rise

    def __post_init__(self) -> None:
        if self.kernel not in ("gaussian", "rise"):
            raise UnknownNameError.of("kernel", self.kernel, ("gaussian", "rise"))
        if self.kernel == "rise" and self.sigma is not None:
            raise InvalidValueError(
                f"kernel 'rise' of removal blur has its own width and takes no sigma, got {self.sigma!r}"
            )
        if self.kernel == "gaussian":
            # The spec states the number that was used, so that a later default cannot pass for this one.
            object.__setattr__(self, "sigma", _checked(DEFAULT_SIGMA if self.sigma is None else self.sigma))

    def prepare(self, model: VisionModel, images: Images, noise: Noise) -> Tensor:  # noqa: ARG002
        """The blurred images, (B, 3, H, W); outside [0, 1] by rounding only."""
        return _rise(images, model) if self.sigma is None else _gaussian(images, self.sigma * min(images.shape[2:]))


def gaussian_weights(sigma: float, radius: int) -> Tensor:
    """A sampled Gaussian, (2 * radius + 1,) float64 with sum 1; sigma in pixels."""
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    return weights / weights.sum()


def rise_weights() -> Tensor:
    """RISE's kernel is the outer product of these with themselves, (11,) float64 with sum 1.

    What scipy.ndimage.gaussian_filter makes of a delta when the 11 pixels are repeated by reflection (d c b a | a b c
    d | d c b a): the Gaussian reaches 20 pixels, so that many mirror images of the delta come back in.
    """
    radius = int(TRUNCATE * RISE_SIGMA + 0.5)
    reached = (torch.arange(RISE_WIDTH)[:, None] + torch.arange(-radius, radius + 1)) % (2 * RISE_WIDTH)
    source = torch.minimum(reached, 2 * RISE_WIDTH - 1 - reached)
    return (source == RISE_WIDTH // 2).double() @ gaussian_weights(RISE_SIGMA, radius)


def reflected(images: Tensor, sigma: float, radius: int) -> Tensor:
    """Blurred with a Gaussian, (B, C, H, W); reflected at the border, as far as the image's sides let it."""
    height, width = (min(radius, side - 1) for side in images.shape[2:])
    padded = functional.pad(images, (width, width, height, height), mode="reflect")
    return separable(padded, gaussian_weights(sigma, height), gaussian_weights(sigma, width))


def separable(padded: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Each channel convolved down and across; smaller by what the weights reach over."""
    channels = padded.shape[1]
    down, across = (weights.to(padded).expand(channels, 1, -1) for weights in (down, across))
    once = functional.conv2d(padded, down[..., None], groups=channels)
    return functional.conv2d(once, across[:, :, None], groups=channels)


def _checked(sigma: float) -> float:
    if not (math.isfinite(sigma) and sigma > 0):
        raise InvalidValueError(f"sigma of removal blur is in sides of the image and must be above 0, got {sigma!r}")
    return float(sigma)


def _gaussian(images: Images, sigma: float) -> Images:
    return reflected(images, sigma, int(TRUNCATE * sigma + 0.5))


def _rise(images: Images, model: VisionModel) -> Images:
    mean, radius, weights = images.new_tensor(model.mean).view(3, 1, 1), RISE_WIDTH // 2, rise_weights()
    # Zero padding after normalisation is the mean colour before it; dividing by the deviation commutes with blurring.
    return separable(functional.pad(images - mean, (radius,) * 4), weights, weights) + mean
