"""How relevance goes back through a layer with weights: the rules of layer-wise relevance propagation.

Here as everywhere in LRP the backward pass carries c = relevance / activation, so that sums, means, views and poolings
need no rule: their own derivative shares relevance out as it should be. A rule turns the c of a layer's outputs into
that of its inputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

STABILISER = 1e-6  # of every denominator but the epsilon rule's
GAMMA = 0.25
RuleName = Literal["epsilon", "plus", "alpha2_beta1", "gamma", "flat", "box"]


@dataclass(eq=False)
class Layer:
    """A convolution or linear map of one call, into which a norm that follows may still be folded."""

    function: Callable[[Tensor, Tensor, Tensor | None], Tensor]  # of (input, weight, bias)
    weight: Tensor
    bias: Tensor | None
    rule: RuleName
    epsilon: float
    box: tuple[Tensor, Tensor]  # the darkest and the brightest input, (3, 1, 1)
    folded: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight, self.bias)

    def fold(self, scale: Tensor, shift: Tensor) -> None:
        """Take in the norm y = scale * z + shift of each output channel."""
        self.bias = shift if self.bias is None else self.bias * scale + shift
        self.weight = self.weight * scale.view(-1, *[1] * (self.weight.ndim - 1))
        self.folded = True

    def back(self, c: Tensor, x: Tensor) -> Tensor:
        """From the outputs' relevance per activation to the inputs'; for flat and box to their relevance itself."""
        output = self(x)
        if self.rule == "epsilon":
            return self._transposed(c * output / stable(output, self.epsilon), x, self.weight)
        relevance = c * output
        if self.rule == "flat":
            ones = torch.ones_like(self.weight)
            return self._transposed(relevance / stable(self.function(torch.ones_like(x), ones, None)), x, ones)
        return self._box(relevance, x, output) if self.rule == "box" else self._signed(relevance, x, output)

    def _box(self, relevance: Tensor, x: Tensor, output: Tensor) -> Tensor:
        """The z^B rule: what an input adds to the lowest output that any image can give."""
        low, high = (edge.expand_as(x) for edge in self.box)
        rising, falling = self.weight.clamp(min=0), self.weight.clamp(max=0)
        least = self.function(low, rising, self._bias(0.0, None)) + self.function(high, falling, self._bias(None, 0.0))
        shares = relevance / stable(output - least)
        parts = ((x, self.weight), (-low, rising), (-high, falling))
        return sum((edge * self._transposed(shares, x, weight) for edge, weight in parts), torch.zeros_like(x))

    def _signed(self, relevance: Tensor, x: Tensor, output: Tensor) -> Tensor:
        """Rules that share out by positive and by negative contributions: alpha-beta and gamma."""
        keep, grow = (1.0, GAMMA) if self.rule == "gamma" else (0.0, 1.0)
        weights = [keep * self.weight + grow * part for part in (self.weight.clamp(min=0), self.weight.clamp(max=0))]
        bounds = (0.0, None), (None, 0.0)
        biases = [
            None if self.bias is None else keep * self.bias + grow * self.bias.clamp(*between) for between in bounds
        ]
        if self.rule == "gamma":
            amounts = [relevance * (output > 0), relevance * (output < 0)]
        else:
            amounts = [2 * relevance, -relevance] if self.rule == "alpha2_beta1" else [relevance]
        positive, negative = x.clamp(min=0), x.clamp(max=0)
        mixed = bool((x < 0).any())
        found = torch.zeros_like(x)
        for amount, weight, against, bias in zip(amounts, weights, weights[::-1], biases, strict=False):
            total = self.function(positive, weight, bias)
            total = total + self.function(negative, against, None) if mixed else total
            shares = amount / stable(total)
            found += (x > 0) * self._transposed(shares, x, weight)
            found += (x < 0) * self._transposed(shares, x, against) if mixed else 0
        return found

    def _bias(self, low: float | None, high: float | None) -> Tensor | None:
        return None if self.bias is None else self.bias.clamp(low, high)

    def _transposed(self, shares: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            (found,) = torch.autograd.grad(self.function(point, weight, None), point, shares)
        return found


class Weighted(torch.autograd.Function):
    """A layer whose backward pass is its rule's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Layer) -> Tensor:
        ctx.layer = layer
        ctx.save_for_backward(x)
        return layer(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        layer: Layer = ctx.layer
        return layer.back(gradients[0], x), None


def stable(number: Tensor, epsilon: float = STABILISER) -> Tensor:
    """Away from 0 by epsilon on its own side, for use below a fraction line; 1 where it is 0 and epsilon too."""
    if not epsilon:
        return number.masked_fill(number == 0, 1)
    return number + torch.where(number < 0, -epsilon, epsilon)
