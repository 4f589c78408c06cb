"""Layers whose windows slide over positions: convolution, pooling, padding, enlarging."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xai_bench.removal.partly_visible import NO_BORDER, Border, PartlyVisible, Rule, refuse, shown

Size = int | Sequence[int]


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
    if x.is_cpu:  # up to ten times faster there; on an accelerator a convolution may round its inputs (TF32)
        return functional.conv2d(x, x.new_ones(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])
    return functional.avg_pool2d(x, 3, stride=1, padding=1, divisor_override=1)


def convolution(padding_mode: str) -> Rule:
    """Output: y = conv(neighbour padding of x) * m', m' = the mask's maximum over the same windows.

    The paper repeats the padding as many times as the kernel is wide. Rings further from what is visible than a window
    reaches are left out: no visible output reads them. So a 1 x 1 kernel needs none, and a 3 x 3 kernel two.
    """
    rescaled = padding_mode == "partial"
    padded = padding_mode == "neighbour"

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
        around = _window_padding(padding, spans)
        mask = _reached(
            x, lambda mask: functional.max_pool2d(functional.pad(mask, around), kernel, _pair(stride), 0, steps)
        )
        y = functional.conv2d(value, weight, bias, stride, padding, dilation, groups)
        if rescaled and kernel != (1, 1):
            y = _renormalised(y, _share(x, kernel, stride, padding, dilation), bias)
        return x.like(shown(y, mask), mask)

    return conv2d


def _renormalised(y: Tensor, share: Tensor, bias: Tensor | None) -> Tensor:
    """Output: y / c + b (1 - 1/c): sums over visible features grow to those of whole windows, the bias does not."""
    grown = (1 / share.clamp(min=1e-8)).to(y.dtype)  # no share is so small; where there is none, y is hidden
    return y * grown if bias is None else torch.addcmul(y * grown, bias[:, None, None], 1 - grown)


def _share(x: PartlyVisible, kernel: tuple[int, int], stride: Size, padding: Size | str, dilation: Size) -> Tensor:
    """c, the visible share of each window, among the positions that are not zero padding (ours).

    The published mean kernel counts zero padding as hidden, so that even a wholly visible image would be altered.
    """
    ones = x.mask.new_ones(1, 1, *kernel)
    inside = functional.pad(torch.ones_like(_inside(x.mask[:1], x.border)), x.border)
    seen, there = (functional.conv2d(part, ones, None, stride, padding, dilation) for part in (x.mask, inside))
    return seen / there.clamp(min=1)


def _reached(x: PartlyVisible, window: Callable[[Tensor], Tensor]) -> Tensor:
    """Where a window meets something visible; one that meets only border goes by the nearest position (ours).

    NASNet has such windows, and without this a wholly visible image would have hidden places.
    """
    if x.border == NO_BORDER:
        return window(x.mask)
    inside = _inside(x.mask, x.border)
    met = window(functional.pad(torch.ones_like(inside), x.border)) > 0
    return torch.where(met, window(x.mask), window(functional.pad(inside, x.border, "replicate")))


def _inside(value: Tensor, border: Border) -> Tensor:
    left, right, top, bottom = border
    return value[..., top : value.shape[2] - bottom, left : value.shape[3] - right]


def _padded_inside(x: PartlyVisible, rings: int) -> Tensor:
    """Neighbour padding of what lies inside the border: zero padding stays zero, as in the plain forward pass."""
    if x.border == NO_BORDER or not rings:
        return neighbour_padded(x.value, x.mask, rings)
    inside = neighbour_padded(_inside(x.value, x.border), _inside(x.mask, x.border), rings)
    value = x.value.clone()
    _inside(value, x.border).copy_(inside)
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
    mask = _reached(x, lambda mask: functional.max_pool2d(mask, *args, **kwargs))
    return x.like(shown(functional.max_pool2d(x.value, *args, **kwargs), mask), mask)


def avg_pool2d(x: PartlyVisible, *args: Any, **kwargs: Any) -> PartlyVisible:
    """Output: y = pool(x), which is zero where m' = 1[pool(m) > 0] is."""
    mask = _reached(x, lambda mask: (functional.avg_pool2d(mask, *args, **kwargs) > 0).to(mask.dtype))
    return x.like(functional.avg_pool2d(x.value, *args, **kwargs), mask)


def pad(x: PartlyVisible, pad: Sequence[int], mode: str = "constant", value: Any = None) -> PartlyVisible:
    """Added constants are a border, hidden but not to be filled in; added copies are as visible as what they copy.

    Negative padding cuts off (ours).
    """
    constant = mode == "constant"
    if len(pad) != 4 or (x.border != NO_BORDER and (min(pad) < 0 or not constant)):
        refuse(f"padding {tuple(pad)} of mode {mode!r}")
    mask = functional.pad(x.mask, tuple(pad), mode)
    left, right, top, bottom = (old + max(new, 0) for old, new in zip(x.border, pad, strict=True))
    border = (left, right, top, bottom) if constant else NO_BORDER
    return PartlyVisible(functional.pad(x.value, tuple(pad), mode, value), mask, x.rules, x.axes, border)


def interpolate(
    x: PartlyVisible, size: Any = None, scale_factor: Any = None, mode: str = "nearest", **kwargs: Any
) -> PartlyVisible:
    """(ours) Each output copies one position, and is visible where that is."""
    if mode not in {"nearest", "nearest-exact"}:
        refuse(f"interpolation of mode {mode!r}")
    value, mask = (functional.interpolate(part, size, scale_factor, mode, **kwargs) for part in (x.value, x.mask))
    return x.like(value, mask)
