"""What each torch function does to a mask: the rules of layer masking (arXiv 2211.14646, read from the authors' code).

x are the features, zero where hidden; m their mask; m' the mask passed on. Rules marked (ours) are for functions that
the authors' models do not use.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xai_bench.removal.partly_visible import NO_BORDER, PartlyVisible, Rule, bare, found, refuse

Size = int | Sequence[int]


def shown(value: Tensor, mask: Tensor) -> Tensor:
    """Zero where hidden."""
    return value * mask.to(value.dtype)


def neighbour_padded(value: Tensor, mask: Tensor, rings: int) -> Tensor:
    """Hidden features take the mean of their visible 3 x 3 neighbours, ring after ring, `rings` times."""
    for _ in range(rings):
        # Nothing hidden, nothing to fill, to the last bit; asking an accelerator would make it wait.
        if mask.is_cpu and mask.all():
            break
        around = _sum3x3(mask)
        weight = ((1 - mask) / (around + 1e-5)).to(value.dtype)
        value = torch.addcmul(value, weight, _sum3x3(value))
        mask = (mask + around).clamp(max=1)
    return value


def _sum3x3(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, 3, stride=1, padding=1, divisor_override=1)


def convolution(*, padded: bool) -> Rule:
    """Output: y = conv(neighbour padding of x) * m', m' = the mask's maximum over the same windows.

    The paper repeats the padding as many times as the kernel is wide. Rings further from what is visible than a window
    reaches are left out: no visible output reads them. So a 1 x 1 kernel needs none, and a 3 x 3 kernel two.
    """

    def conv2d(
        x: PartlyVisible,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
    ) -> PartlyVisible:
        kernel, steps = (weight.shape[2], weight.shape[3]), _pair(dilation)
        spans = tuple(step * (side - 1) for step, side in zip(steps, kernel, strict=True))
        value = _padded_inside(x, min(kernel[1], max(spans))) if padded else x.value
        mask = functional.pad(x.mask, _window_padding(padding, spans))
        mask = functional.max_pool2d(mask, kernel, _pair(stride), 0, steps)
        y = functional.conv2d(value, weight, bias, stride, padding, dilation, groups)
        return x.like(shown(y, mask), mask)

    return conv2d


def _padded_inside(x: PartlyVisible, rings: int) -> Tensor:
    """Neighbour padding of what lies inside the border: zero padding stays zero, as in the plain forward pass."""
    if x.border == NO_BORDER or not rings:
        return neighbour_padded(x.value, x.mask, rings)
    left, right, top, bottom = x.border
    inside = (..., slice(top, x.value.shape[2] - bottom), slice(left, x.value.shape[3] - right))
    value = x.value.clone()
    value[inside] = neighbour_padded(x.value[inside], x.mask[inside], rings)
    return value


def _window_padding(padding: Size | str, spans: tuple[int, ...]) -> tuple[int, int, int, int]:
    if padding == "same":
        (top, bottom), (left, right) = ((span // 2, span - span // 2) for span in spans)
        return left, right, top, bottom
    height, width = (0, 0) if isinstance(padding, str) else _pair(padding)
    return width, width, height, height


def _pair(size: Size) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    return (size[0], size[-1])


def max_pool2d(x: PartlyVisible, *args: Any, **kwargs: Any) -> PartlyVisible:
    """Output: y = pool(x) * m', m' = pool(m)."""
    mask = functional.max_pool2d(x.mask, *args, **kwargs)
    return x.like(shown(functional.max_pool2d(x.value, *args, **kwargs), mask), mask)


def avg_pool2d(x: PartlyVisible, *args: Any, **kwargs: Any) -> PartlyVisible:
    """Output: y = pool(x), which is zero where m' = 1[pool(m) > 0] is."""
    mask = (functional.avg_pool2d(x.mask, *args, **kwargs) > 0).to(x.mask.dtype)
    return x.like(functional.avg_pool2d(x.value, *args, **kwargs), mask)


def adaptive_avg_pool2d(x: PartlyVisible, output_size: Any) -> Tensor:
    """The mean over the visible cells of each window, 0 where there is none; one window gives ordinary features."""
    share = functional.adaptive_avg_pool2d(x.mask, output_size)
    y = _over_visible(functional.adaptive_avg_pool2d(x.value, output_size), share)
    return y if y.shape[2:] == (1, 1) else x.like(y, (share > 0).to(x.mask.dtype))


def mean(x: PartlyVisible, dim: Any = None, keepdim: bool = False) -> Tensor:  # noqa: FBT001, FBT002
    """The mean over the visible cells, 0 where there is none."""
    dims = {d % 4 for d in ((dim,) if isinstance(dim, int) else dim or range(4))}
    if dims != {1, 2, 3} - {x.channel}:
        refuse(f"a mean over dimensions {dim}")
    return _over_visible(x.value.mean(dim, keepdim), x.mask.mean(dim, keepdim))


def _over_visible(average: Tensor, share: Tensor) -> Tensor:
    # Divided in the mask's float32: 1e-8 is zero in half precision, where nothing visible would give nan.
    return (average / (share + 1e-8)).to(average.dtype)


def pad(x: PartlyVisible, pad: Sequence[int], mode: str = "constant", value: Any = None) -> PartlyVisible:
    """Added constants are a border, hidden but not to be filled in; added copies are as visible as what they copy."""
    constant = mode == "constant"
    if len(pad) != 4 or min(pad) < 0 or not (constant or x.border == NO_BORDER):
        refuse(f"padding {tuple(pad)} of mode {mode!r}")
    mask = functional.pad(x.mask, tuple(pad), mode)
    left, right, top, bottom = (old + new for old, new in zip(x.border, pad, strict=True))
    border = (left, right, top, bottom) if constant else NO_BORDER
    return PartlyVisible(functional.pad(x.value, tuple(pad), mode, value), mask, x.rules, 1, border)


def flatten(x: PartlyVisible, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """(B, C * H * W) ordinary features, zero where hidden."""
    if start_dim != 1 or end_dim not in (-1, 3):
        refuse(f"flatten from dimension {start_dim} to {end_dim}")
    return x.value.flatten(1)


def reshape(x: PartlyVisible, *shape: Any) -> Tensor:
    """As flatten, and nothing else."""
    y = x.value.reshape(*shape)
    if y.ndim != 2 or len(y) != len(x.value):
        refuse(f"a reshape from {tuple(x.value.shape)} to {tuple(y.shape)}")
    return y


def permute(x: PartlyVisible, *dims: Any) -> PartlyVisible:
    """The mask goes along."""
    order = [dim % 4 for dim in (dims[0] if isinstance(dims[0], tuple | list) else dims)]
    if order not in ([0, 2, 3, 1], [0, 3, 1, 2]) or order.index(x.channel) == 2:
        refuse(f"a permutation of features to dimensions {order}")
    return PartlyVisible(x.value.permute(order), x.mask.permute(order), x.rules, order.index(x.channel))


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
    if training:
        refuse("batch norm by the statistics of the batch")
    y = functional.batch_norm(x.value, running_mean, running_var, weight, bias, training, momentum, eps)
    return x.like(shown(y, x.mask))


def over_channels(function: Callable[..., Tensor]) -> Rule:
    """(ours) y = f(x) * m for what works on the last dimension, where that is C: layer norm, linear."""

    def rule(x: PartlyVisible, *args: Any, **kwargs: Any) -> PartlyVisible:
        if x.channel != 3 or (function is functional.layer_norm and len(args[0]) != 1):
            refuse(f"{function.__name__} over positions")
        return x.like(shown(function(x.value, *args, **kwargs), x.mask))

    return rule


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


def joined(function: Callable[..., Tensor]) -> Rule:
    """Output: y = f(x1, x2) * m', m' = m1 * m2; numbers, parameters and gates (squeeze and excitation) have no mask."""

    def rule(a: Any, b: Any, **kwargs: Any) -> PartlyVisible:
        first, *others = _without_borders(found((a, b), {}))
        mask = first.mask * others[0].mask if others else first.mask
        return first.like(shown(function(bare(a), bare(b), **kwargs), mask), mask)

    return rule


def cat(tensors: Sequence[Any], dim: int = 0) -> PartlyVisible:
    """(ours) m' = the product of all masks, so that a position counts where all branches see it."""
    parts = _without_borders(found(tensors, {}))
    if len(parts) != len(tensors) or dim % 4 != parts[0].channel:
        refuse(f"cat along dimension {dim}")
    mask = torch.stack([part.mask for part in parts]).prod(0)
    return parts[0].like(shown(torch.cat([part.value for part in parts], dim), mask), mask)


def parts(function: Callable[..., tuple[Tensor, ...]]) -> Rule:
    """(ours) Groups of channels, each under the same mask."""

    def rule(x: PartlyVisible, size: Any, dim: int = 0) -> tuple[PartlyVisible, ...]:
        if dim % 4 != x.channel:
            refuse(f"{function.__name__} along dimension {dim}")
        return tuple(x.like(part) for part in function(x.value, size, dim))

    return rule


def _without_borders(features: Any) -> list[PartlyVisible]:
    listed = list(features)
    if any(item.border != NO_BORDER for item in listed):
        refuse("padded features outside a convolution or pooling")
    return listed


def _alone(rule: Rule, *, windowed: bool) -> Rule:
    """The rule for one partly visible argument, the first; windows slide over (B, C, H, W) and may meet a border."""

    def checked(*args: Any, **kwargs: Any) -> Any:
        given = list(found(args, kwargs))
        x = args[0] if args else kwargs.pop("input")
        if len(given) != 1 or given[0] is not x:
            refuse("features in the place of a parameter")
        if windowed and x.channel != 1:
            refuse("a window over (B, H, W, C)")
        if not windowed:
            _without_borders(given)
        return rule(x, *args[1:], **kwargs)

    return checked


THROUGH_ZERO = (
    *(functional.relu, torch.relu, Tensor.relu, functional.relu6, functional.leaky_relu, functional.elu),
    *(functional.silu, functional.mish, functional.hardswish, functional.gelu, torch.tanh, Tensor.tanh),
    *(functional.prelu, functional.dropout, functional.dropout2d),
    *(Tensor.clone, torch.clone, Tensor.contiguous, Tensor.detach, Tensor.to, Tensor.float),
)
POINTWISE = (
    *(torch.sigmoid, Tensor.sigmoid, functional.hardsigmoid, functional.hardtanh),
    *(Tensor.clamp, torch.clamp),
)
SUMS = (torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__, torch.sub, Tensor.sub, Tensor.__sub__)
PRODUCTS = (torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__)


def rules(*, padded: bool) -> Mapping[Any, Rule]:
    """The table of rules, with neighbour padding before convolutions or without."""
    windowed: dict[Any, Rule] = {
        functional.conv2d: convolution(padded=padded),
        **dict.fromkeys((functional.max_pool2d, torch.max_pool2d), max_pool2d),
        functional.avg_pool2d: avg_pool2d,
        functional.pad: pad,
    }
    alone: dict[Any, Rule] = {
        functional.adaptive_avg_pool2d: adaptive_avg_pool2d,
        **dict.fromkeys((torch.mean, Tensor.mean), mean),
        **dict.fromkeys((torch.flatten, Tensor.flatten), flatten),
        **dict.fromkeys((torch.reshape, Tensor.reshape, Tensor.view), reshape),
        **dict.fromkeys((torch.permute, Tensor.permute), permute),
        functional.batch_norm: batch_norm,
        **{function: over_channels(function) for function in (functional.layer_norm, functional.linear)},
        **{function: pointwise(function) for function in POINTWISE},
        **{function: pointwise_through_zero(function) for function in THROUGH_ZERO},
        **{function: parts(function) for function in (torch.chunk, Tensor.chunk, torch.split, Tensor.split)},
    }
    return {
        **{function: _alone(rule, windowed=True) for function, rule in windowed.items()},
        **{function: _alone(rule, windowed=False) for function, rule in alone.items()},
        **{function: joined(function) for function in (*SUMS, *PRODUCTS)},
        **dict.fromkeys((torch.cat, torch.concat), cat),
    }
