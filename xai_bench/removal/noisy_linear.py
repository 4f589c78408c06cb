"""Removed pixels are imputed linearly from those around them, with a little noise (ROAD)."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.catalogue import check_values
from xai_bench.errors import InvalidValueError
from xai_bench.removal.imputation import impute
from xai_bench.removal.removal import PixelRemoval, State, refuse_soft
from xai_bench.seeding import Noise
from xai_bench.types import Card, Images, Keep


@dataclass(frozen=True)
class NoisyLinear(PixelRemoval):
    """Each removed pixel is the weighted mean of its eight neighbours, all solved together, plus Gaussian noise.

    Weights are 1/6 at the sides and 1/12 at the corners, renormalised where neighbours lie outside the image. With
    nothing visible there is no solution and the image has the model's mean colour, plus the noise (ours; other
    libraries divide by zero). Knows only 0 and 1: a soft mask raises InvalidValueError.

    A sample's noise is the same for all masks, and its mean over the image is zero in each colour (ours). It is
    added in `units` of the image in [0, 1], as in ROAD's code, or of the normalised one: pytorch-grad-cam and
    Quantus impute whatever they are given, which is the model's normalised input, `noisy_linear@gradcam`. Without
    noise both are the same. Nothing is clipped to [0, 1].

    Source: Rong et al. 2022 (2202.00449), section 5 and appendix; code tleemann/road_evaluation.
    """

    card: ClassVar[Card] = Card(
        name="noisy_linear",
        source="Rong et al. 2022 (ROAD, 2202.00449), as in tleemann/road_evaluation",
        summary="removed pixels are imputed linearly from those around them, with a little noise",
    )
    soft: ClassVar[bool] = False
    protocols: ClassVar = {"gradcam": {"units": "normalised"}}

    noise: float | int = 0.01  # standard deviation
    units: Literal["image", "normalised"] = "image"

    def __post_init__(self) -> None:
        check_values(self)
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise InvalidValueError(
                f"noise of removal noisy_linear is a standard deviation of at least 0, got {self.noise!r}"
            )

    def prepare(self, model: VisionModel, images: Images, noise: Noise) -> Tensor:
        """The model's mean colour with the sample's noise, (B, 3, H, W)."""
        mean, std = (images.new_tensor(colour).view(3, 1, 1) for colour in (model.mean, model.std))
        field = noise.normal(*images.shape[1:]).to(images)
        scale = self.noise * (std if self.units == "normalised" else 1)
        return mean + scale * (field - field.mean((2, 3), keepdim=True))

    def alter(self, images: Images, keep: Keep, state: State) -> Images:
        """Kept pixels from the image, the others imputed."""
        refuse_soft(self, keep)
        assert state is not None
        noise = state - state.mean((2, 3), keepdim=True)
        blank = ~keep.bool().flatten(1).any(1).view(-1, 1, 1, 1)
        imputed = torch.where(blank, state, impute(images, keep) + noise)
        return torch.where(keep[:, None] > 0, images, imputed)
