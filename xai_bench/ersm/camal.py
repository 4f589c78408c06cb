"""CAMAL: attention that is taught to lie on the object while a classifier or a policy learns (arXiv 2605.08325).

The paper's abstract says what the term does, and no more could be found: the formulas are our reading of it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from xai_bench.catalogue import check_values, fields
from xai_bench.errors import InvalidValueError
from xai_bench.types import Card

Attention = Float[Tensor, "B h w"]  # of the cells of a feature map, 0 or more
Objects = Bool[Tensor, "B H W"]  # the object, at image resolution
PerImage = Float[Tensor, " B"]
Scalar = Float[Tensor, ""]

BOUND = 1e-3  # of what a logarithm is taken of, so that one cell cannot outweigh all others
NOTHING = 1e-7  # a total of attention below it is none (Model Guidance's code)


class Attended(NamedTuple):
    """What one pass gives: the logits, and where the model looked for the targets."""

    logits: Float[Tensor, "B K"]
    maps: Attention


def attention(
    module: nn.Module,
    inputs: Tensor,
    targets: Int64[Tensor, " B"],
    layer: str,
    *,
    head: str = "",
    grid: Callable[[Tensor], Tensor] | None = None,
) -> Attended:
    """Logits, and the positive part of sum_c a_c F_c over the cells of `layer`, not normalised; both differentiable.

    With `head`, the name of the linear layer that reads the mean of `layer` over space, a is its row of the target
    (CAM). Without, a is the mean over space of d logit / d F (Grad-CAM), itself differentiable: a backward pass through
    the loss is then of second order. For such a head the second is the first over the number of cells.
    `grid` sees the layer's output as (B, C, h, w); left out where it is that already. `targets` are the labels of a
    classifier, the actions of a policy. A layer whose inputs are frozen works too. Half-precision features are summed
    in float32.
    """
    seen: list[Tensor] = []
    hook = module.get_submodule(layer).register_forward_hook(lambda _m, _i, out: seen.append(_traced(out)))
    try:
        with nullcontext() if head else sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
            logits = module(inputs)
    finally:
        hook.remove()
    activations = seen[-1]
    view = grid or _as_it_is
    features = view(activations)
    if head:
        weights = module.get_submodule(head).weight[targets][:, :, None, None]  # type: ignore[index]
    else:
        chosen = logits.gather(1, targets[:, None]).sum()
        (gradient,) = torch.autograd.grad(chosen, activations, create_graph=True)
        weights = view(gradient).mean((2, 3), keepdim=True)
    wide = torch.promote_types(features.dtype, torch.float32)
    return Attended(logits, (weights.to(wide) * features.to(wide)).sum(1).relu())


def _traced(output: Tensor) -> Tensor:
    """The layer's output, as a start of the graph where nothing before it learns."""
    return output if output.requires_grad else output.requires_grad_()


def _as_it_is(activations: Tensor) -> Tensor:
    return activations


@dataclass(frozen=True)
class AttentionLoss(ABC):
    """(attention (B, h, w), regions (B, H, W) bool) -> what the loss adds: `weight` times the mean over images.

    Images without an object do not count; a batch without any adds 0.
    A negative or infinite weight raises InvalidValueError.
    """

    card: ClassVar[Card]

    weight: float | int = 1.0  # lambda

    def __post_init__(self) -> None:
        check_values(self)
        for name in fields(type(self)):
            value = getattr(self, name)
            if not isinstance(value, str) and not (math.isfinite(value) and value >= 0):
                raise InvalidValueError(f"{name} of {self.card.name} must be 0 or more, got {value!r}")

    def __call__(self, attention: Attention, regions: Objects) -> Scalar:
        if regions.ndim != 3 or len(regions) != len(attention):
            raise InvalidValueError(
                f"regions must be ({len(attention)}, H, W), one object per map, got {tuple(regions.shape)}"
            )
        there = regions.flatten(1).any(1)
        each = self.each(attention, regions.to(attention.device))
        return self.weight * each.where(there.to(each.device), 0).sum() / there.sum().clamp(min=1)

    @abstractmethod
    def each(self, attention: Attention, regions: Objects) -> PerImage:
        """What is wrong with each image's attention, before the weight; of no meaning where there is no object."""


@dataclass(frozen=True)
class CamalLoss(AttentionLoss):
    """inside * L_in + outside * L_out: attention that is missing on the object, and attention beside it.

    With M the object's share of each cell, and A the attention over its maximum (`norm="max"`), from its minimum to
    its maximum ("minmax") or as it is ("none"):

    - `linear`: L_in = sum M (1 - A) / sum M, L_out = sum (1 - M) A / sum (1 - M)
    - `squared`: the same of (1 - A)^2 and A^2
    - `bce`: the same of -log A and -log(1 - A), with A kept in [0.001, 0.999]
    - `energy`: L_in = 1 - sum M A / sum A, and L_out the same number

    `eps` stands beside each denominator. Where the object fills the image L_out is 0; where there is no attention
    L_in is 1, in every form.

    Source: the abstract of arXiv 2605.08325 says that attention is encouraged inside and suppressed outside; the
    formulas, the weights and the normalisation are ours.
    """

    card: ClassVar = Card("camal", source="arXiv:2605.08325; our reading", summary="inside and outside, each its mean")

    inside: float | int = 1.0
    outside: float | int = 1.0  # beta
    form: Literal["linear", "squared", "bce", "energy"] = "linear"
    norm: Literal["max", "minmax", "none"] = "max"
    eps: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.eps:
            raise InvalidValueError("eps of camal must be above 0, got 0.0")

    def each(self, attention: Attention, regions: Objects) -> PerImage:
        share = object_share(regions, attention)
        maps = self._normalised(attention)
        missing, beside = self._energy(maps, share) if self.form == "energy" else self._means(maps, share)
        blind = (maps == 0).flatten(1).all(1)
        return self.inside * missing.masked_fill(blind, 1) + self.outside * beside

    def _normalised(self, attention: Attention) -> Attention:
        if self.norm == "none":
            return attention
        low = attention.amin((1, 2), keepdim=True) if self.norm == "minmax" else torch.zeros_like(attention[:, :1, :1])
        return (attention - low) / (attention.amax((1, 2), keepdim=True) - low + self.eps)

    def _means(self, maps: Attention, share: Attention) -> tuple[PerImage, PerImage]:
        missing, beside = {"linear": _linear, "squared": _squared, "bce": _entropy}[self.form](maps)
        return _mean(missing, share, self.eps), _mean(beside, 1 - share, self.eps)

    def _energy(self, maps: Attention, share: Attention) -> tuple[PerImage, PerImage]:
        total = maps.sum((1, 2))
        some = total.where(total >= NOTHING, 1)
        return 1 - (share * maps).sum((1, 2)) / some, ((1 - share) * maps).sum((1, 2)) / some


def object_share(regions: Objects, attention: Attention) -> Attention:
    """The share of each of the map's cells that the object covers, in [0, 1]; a pixel may lie in several cells."""
    rows, columns = (  # weights of each side
        _overlap(pixels, cells).to(attention)
        for pixels, cells in zip(regions.shape[1:], attention.shape[1:], strict=True)
    )
    return rows @ regions.to(attention.dtype) @ columns.T


@cache
def _overlap(pixels: int, cells: int) -> Float[Tensor, "cells pixels"]:
    """The share of each cell of a side that each pixel takes."""
    ends = torch.arange(cells + 1, dtype=torch.float64) * pixels / cells
    first = torch.arange(pixels, dtype=torch.float64)
    reach = torch.minimum(ends[1:, None], first + 1) - torch.maximum(ends[:-1, None], first)
    return reach.clamp(min=0) * cells / pixels


def _mean(values: Attention, weights: Attention, eps: float) -> PerImage:
    return (weights * values).sum((1, 2)) / (weights.sum((1, 2)) + eps)


def _linear(maps: Attention) -> tuple[Attention, Attention]:
    return 1 - maps, maps


def _squared(maps: Attention) -> tuple[Attention, Attention]:
    return (1 - maps) ** 2, maps**2


def _entropy(maps: Attention) -> tuple[Attention, Attention]:
    sure = maps.clamp(BOUND, 1 - BOUND)
    return -sure.log(), -(1 - sure).log()
