"""From a gradient with respect to three colours to one number at each pixel."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from xai_bench.types import Maps

Colours = Literal["max", "norm", "sum"]  # largest absolute value; Euclidean length; sum with signs


def reduced(gradients: Float[Tensor, "B 3 H W"], colours: Colours) -> Maps:
    """One number at each pixel, never negative but for `sum`."""
    if colours == "sum":
        return gradients.sum(1).float()
    if colours == "max":
        return gradients.abs().amax(1).float()
    return gradients.square().sum(1).sqrt().float()
