"""Layers that work position by position, and those that join features position by position."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xai_bench.removal.partly_visible import NO_BORDER, PartlyVisible, Rule, bare, found, refuse, shown


def batch_norm(
    x: PartlyVisible,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,  # noqa: FBT001, FBT002
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> PartlyVisible:
    """Output: y = f(x) * m, where the statistics are stored ones."""
    if training or "c" not in x.axes[1:2]:
        refuse("batch norm by the statistics of the batch" if training else f"batch norm of features laid {x.axes}")
    y = functional.batch_norm(x.value, running_mean, running_var, weight, bias, training, momentum, eps)
    return x.like(shown(y, x.mask))


def over_last(function: Callable[..., Tensor]) -> Rule:
    """(ours) y = f(x) * m for what works on the last dimension, where that is C: layer norm, linear."""

    def rule(x: PartlyVisible, *args: Any, **kwargs: Any) -> PartlyVisible:
        over = 1 if function is functional.linear else len(args[0])
        if set(x.axes[-over:]) != {"c"}:
            refuse(f"{function.__name__} over positions")
        return x.like(shown(function(x.value, *args, **kwargs), x.mask))

    return rule


def softmax(x: PartlyVisible, dim: int, *args: Any, **kwargs: Any) -> PartlyVisible:
    """(ours) y = f(x) * m over channels; over positions it would be attention."""
    if x.axes[dim] != "c":
        refuse("softmax over positions")
    return x.like(shown(functional.softmax(x.value, dim, *args, **kwargs), x.mask))


def pointwise(function: Callable[..., Tensor]) -> Rule:
    """Output: y = f(x) * m."""

    def rule(x: PartlyVisible, *args: Any, **kwargs: Any) -> PartlyVisible:
        return x.like(shown(function(x.value, *args, **kwargs), x.mask))

    return rule


def pointwise_through_zero(function: Callable[..., Tensor]) -> Rule:
    """Output: y = f(x) * m where f(0) = 0, so that there is nothing to multiply."""

    def rule(x: PartlyVisible, *args: Any, **kwargs: Any) -> PartlyVisible:
        return x.like(function(x.value, *args, **kwargs))

    return rule


def pointwise_off_zero(function: Callable[..., Tensor]) -> Rule:
    """Output: y = f(x) where visible, 0 elsewhere, for what is not finite at 0."""

    def rule(x: PartlyVisible, *args: Any, **kwargs: Any) -> PartlyVisible:
        return x.like(torch.where(x.mask > 0, function(x.value, *args, **kwargs), 0))

    return rule


def joined(function: Callable[..., Tensor]) -> Rule:
    """Output: y = f(x1, x2) * m', m' = m1 * m2; numbers, parameters and gates (squeeze and excitation) have no mask."""

    def rule(*args: Any, **kwargs: Any) -> PartlyVisible:
        first, mask = together(found(args, {}))
        return first.like(shown(function(*map(bare, args), **kwargs), mask), mask)

    return rule


def together(features: Any) -> tuple[PartlyVisible, Tensor]:
    """The first of the features that meet, and where all are visible."""
    first, *others = without_borders(features)
    mask = first.mask
    for other in others:
        if other.axes != first.axes:
            refuse(f"features laid {first.axes} that meet others laid {other.axes}")
        mask = mask if other.mask is mask else mask * other.mask
    return first, mask


def divided(x: Any, by: Any, **kwargs: Any) -> PartlyVisible:
    """Output: y = x / g * m, by numbers, parameters or gates; by features, x1 / x2 where both are visible (ours)."""
    first, mask = together(found((x, by), {}))
    return first.like(torch.where(mask > 0, torch.div(bare(x), bare(by), **kwargs), 0), mask)


def expand_as(gate: Any, x: Any) -> Tensor:
    """A gate of the size of features is as ordinary as it was."""
    if isinstance(gate, PartlyVisible):
        refuse("features that are expanded")
    expanded: Tensor = gate.expand_as(bare(x))
    return expanded


def without_borders(features: Any) -> list[PartlyVisible]:
    """The features, none of which may wait for its window."""
    listed = list(features)
    if any(item.border != NO_BORDER for item in listed):
        refuse("padded features outside a convolution or pooling")
    return listed
