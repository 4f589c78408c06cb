"""Rules by which relevance goes from a layer's output to its inputs, none lost (Chefer, Gur & Wolf 2021, section 3).

Axes: B samples, N tokens, D and E channels. A norm, an activation and a softmax pass relevance on as it is.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

Tensors = Float[Tensor, "B ..."]


def through_linear(layer: nn.Linear, inputs: Float[Tensor, "B N D"], relevance: Float[Tensor, "B N E"]) -> Tensor:
    """Each output's relevance goes to the products x w that are positive, in proportion. No bias."""
    weight = layer.weight.to(inputs.dtype)
    up, down = weight.clamp(min=0), weight.clamp(max=0)
    above, below = inputs.clamp(min=0), inputs.clamp(max=0)
    share = divided(relevance, functional.linear(above, up) + functional.linear(below, down))
    return above * (share @ up) + below * (share @ down)


def through_product(left: Tensors, right: Tensors, relevance: Tensors) -> tuple[Tensor, Tensor]:
    """In proportion to each term of left @ right, half of it to each factor: both have the same share in all terms."""
    share = divided(relevance, left @ right) / 2
    return left * (share @ right.transpose(-2, -1)), right * (left.transpose(-2, -1) @ share)


def through_sum(
    skipped: Float[Tensor, "B N D"], added: Float[Tensor, "B N D"], relevance: Float[Tensor, "B N D"]
) -> tuple[Tensor, Tensor]:
    """In proportion to each term of a skip connection, then the paper's normalisation.

    Each side gets as much of all relevance as its sum is in size; without it terms that nearly cancel get any amount.
    """
    share = divided(relevance, skipped + added)
    sides = (skipped * share, added * share)
    sums = [side.sum((1, 2), keepdim=True) for side in sides]
    size = sums[0].abs() + sums[1].abs()
    total = relevance.sum((1, 2), keepdim=True)
    first, second = (side * divided(total * own.abs(), size * own) for side, own in zip(sides, sums, strict=True))
    return first, second


def divided(relevance: Tensor, by: Tensor) -> Tensor:
    """Relevance per unit, 0 where nothing was there to be relevant."""
    return torch.where(by == 0, 0, relevance / torch.where(by == 0, 1, by))
