"""What one step of training sees and says: a batch as the model takes it, and the figures of a loss."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn


class Lesson(NamedTuple):
    """A batch ready for the model: normalised images, or the features that a frozen trunk made of them.

    Regions are moved by augmentation exactly as the images are, and stay at image resolution.
    """

    inputs: Float[Tensor, "B C h w"]  # images: (B, 3, H, W), normalised with the model's mean and std
    labels: Int64[Tensor, " B"]
    regions: Bool[Tensor, "B H W"] | None = None  # all False where an image has none; None where nobody asked


Figures = Mapping[str, Tensor]  # `loss`, which is minimised, and whatever else is worth watching; scalars
Objective = Callable[[nn.Module, Lesson], Figures]
