"""Layers that reduce features: pooling over all positions, and norms by a feature map's own statistics."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xai_bench.removal.layer_rules.positions import batch_norm
from xai_bench.removal.partly_visible import IMAGE, POSITIONS, PartlyVisible, refuse, shown


def adaptive_avg_pool2d(x: PartlyVisible, output_size: Any) -> Tensor:
    """The mean over the visible cells of each window, 0 where there is none; one window gives ordinary features."""
    _as_image(x, "adaptive pooling")
    share = functional.adaptive_avg_pool2d(x.mask, output_size)
    y = _over_visible(functional.adaptive_avg_pool2d(x.value, output_size), share)
    return y if y.shape[2:] == (1, 1) else x.like(y, (share > 0).to(x.mask.dtype))


def adaptive_max_pool2d(x: PartlyVisible, output_size: Any, return_indices: bool = False) -> Tensor:  # noqa: ARG001, FBT001, FBT002
    """(ours) The maximum over the visible cells of each window, 0 where there is none."""
    _as_image(x, "adaptive pooling")
    mask = functional.adaptive_max_pool2d(x.mask, output_size)
    y = torch.where(mask > 0, functional.adaptive_max_pool2d(_lowest_where_hidden(x), output_size), 0)
    return y if y.shape[2:] == (1, 1) else x.like(y, mask)


def mean(x: PartlyVisible, dim: Any = None, keepdim: bool = False) -> Tensor:  # noqa: FBT001, FBT002
    """The average over the visible cells, 0 where there is none; over channels (ours) it is zero where hidden."""
    dims = _dims(x, dim, "mean")
    share = x.mask.mean(dims, keepdim)
    return _reduced(x, _over_visible(x.value.mean(dims, keepdim), share), share, dims, keepdim=keepdim)


def _over_visible(average: Tensor, share: Tensor) -> Tensor:
    # Divided in the mask's float32: 1e-8 is zero in half precision, where nothing visible would give nan.
    return (average / (share + 1e-8)).to(average.dtype)


def var(x: PartlyVisible, dim: Any = None, unbiased: bool = True, keepdim: bool = False, **kwargs: Any) -> Tensor:  # noqa: FBT001, FBT002
    """(ours) The spread over the visible cells, 0 where there is none; over channels it is zero where hidden."""
    dims, correction = _dims(x, dim, "variance"), kwargs.get("correction", int(unbiased))
    share = x.mask.mean(dims, keepdim)
    if not POSITIONS & _letters(x, dims):
        return _reduced(x, x.value.var(dims, correction=correction, keepdim=keepdim), share, dims, keepdim=keepdim)
    if correction != 0:
        refuse("an unbiased variance over positions")
    centre = _over_visible(x.value.mean(dims, keepdim=True), x.mask.mean(dims, keepdim=True))
    spread = shown(x.value - centre, x.mask).square().mean(dims, keepdim)
    return _reduced(x, _over_visible(spread, share), share, dims, keepdim=keepdim)


def amax(x: PartlyVisible, dim: Any = (), keepdim: bool = False) -> Tensor:  # noqa: FBT001, FBT002
    """(ours) The maximum over the visible cells, 0 where there is none; over channels it is zero where hidden."""
    dims = _dims(x, dim, "maximum")
    mask = x.mask.amax(dims, keepdim)
    value = torch.where(mask > 0, _lowest_where_hidden(x).amax(dims, keepdim), 0)
    return _reduced(x, value, mask, dims, keepdim=keepdim)


def _lowest_where_hidden(x: PartlyVisible) -> Tensor:
    return x.value.masked_fill(x.mask == 0, float("-inf"))


def total(x: PartlyVisible, dim: Any = None, keepdim: bool = False) -> Tensor:  # noqa: FBT001, FBT002
    """(ours) A sum over channels; one over positions would depend on how many are visible."""
    dims = _dims(x, dim, "sum")
    if POSITIONS & _letters(x, dims):
        refuse(f"a sum over dimensions {dim}")
    return _reduced(x, x.value.sum(dims, keepdim), x.mask.amax(dims, keepdim), dims, keepdim=keepdim)


def norm(
    x: PartlyVisible,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,  # noqa: FBT001, FBT002
    dtype: Any = None,
) -> Tensor:
    """(ours) The Euclidean norm of what is visible: ConvNeXt V2 divides it by its mean over channels."""
    dims = _dims(x, dim, "norm")
    if p not in (2, "fro"):
        refuse(f"a norm of order {p}")
    value = torch.linalg.vector_norm(x.value, 2, dims, keepdim, dtype=dtype)
    return _reduced(x, value, x.mask.amax(dims, keepdim), dims, keepdim=keepdim)


def group_norm(
    x: PartlyVisible, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> PartlyVisible:
    """(ours) The mean and variance of each group over the visible cells; y = f(x) * m.

    A feature map that is wholly visible is left to torch's own function, to the last bit.
    """
    _as_image(x, "group norm")
    return _normed(x, functional.group_norm(x.value, num_groups, weight, bias, eps), num_groups, weight, bias, eps)


def _normed(
    x: PartlyVisible, whole: Tensor, num_groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> PartlyVisible:
    share = x.mask.mean((1, 2, 3))[:, None, None, None, None]
    groups = x.value.reshape(len(x.value), num_groups, -1, *x.value.shape[2:])  # (B, G, C / G, H, W)
    centred = shown(groups - _over_visible(groups.mean((2, 3, 4), keepdim=True), share), x.mask[:, None])
    variance = _over_visible(centred.square().mean((2, 3, 4), keepdim=True), share)
    y = (centred * torch.rsqrt(variance + eps)).flatten(1, 2)
    if weight is not None:
        y = y * weight[:, None, None]
    if bias is not None:
        y = shown(y + bias[:, None, None], x.mask)
    return x.like(torch.where(share[..., 0] == 1, whole, y))


def instance_norm(
    x: PartlyVisible,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,  # noqa: FBT001, FBT002
    momentum: float = 0.1,  # noqa: ARG001
    eps: float = 1e-5,
) -> PartlyVisible:
    """(ours) As a group norm whose groups are single channels."""
    _as_image(x, "instance norm")
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, eps=eps)
    whole = functional.instance_norm(x.value, None, None, weight, bias, eps=eps)
    return _normed(x, whole, x.value.shape[1], weight, bias, eps)


def _as_image(x: PartlyVisible, what: str) -> None:
    if x.axes != IMAGE:
        refuse(f"{what} of features laid {x.axes}")


def _dims(x: PartlyVisible, dim: Any, what: str) -> tuple[int, ...]:
    given = (dim,) if isinstance(dim, int) else tuple(dim or range(x.value.ndim))
    dims = tuple(sorted(each % x.value.ndim for each in given))
    if "b" in _letters(x, dims):
        refuse(f"a {what} over dimensions {dim}")
    return dims


def _letters(x: PartlyVisible, dims: tuple[int, ...]) -> set[str]:
    return {x.axes[dim] for dim in dims}


def _reduced(x: PartlyVisible, value: Tensor, share: Tensor, dims: tuple[int, ...], *, keepdim: bool) -> Tensor:
    """A dimension that is kept holds no positions any more."""
    letters = [("c" if keepdim else "") if dim in dims else letter for dim, letter in enumerate(x.axes)]
    return x.laid(value, (share > 0).to(x.mask.dtype), "".join(letters))
