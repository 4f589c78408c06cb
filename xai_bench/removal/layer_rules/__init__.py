"""What each torch function does to a mask: the rules of layer masking (arXiv 2211.14646, read from the authors' code).

x are the features, zero where hidden; m their mask; m' the mask passed on. Rules marked (ours) are for functions that
the authors' models do not use.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xai_bench.removal.layer_rules import positions, shapes, statistics, windows
from xai_bench.removal.layer_rules.windows import neighbour_padded
from xai_bench.removal.partly_visible import IMAGE, Rule, found, refuse

__all__ = ["PADDINGS", "neighbour_padded", "rules"]

PADDINGS = ("neighbour", "none", "partial")

THROUGH_ZERO = (
    *(functional.relu, torch.relu, Tensor.relu, functional.relu6, functional.leaky_relu, functional.elu),
    *(functional.silu, functional.mish, functional.hardswish, functional.gelu, torch.tanh, Tensor.tanh),
    *(functional.prelu, functional.dropout, functional.dropout2d, functional.selu, functional.celu),
    *(functional.softsign, torch.square, Tensor.square, torch.abs, Tensor.abs, torch.neg, Tensor.neg),
    *(torch.sqrt, Tensor.sqrt, functional.hardshrink, Tensor.__neg__, functional.alpha_dropout),
    *(Tensor.clone, torch.clone, Tensor.contiguous, Tensor.detach, Tensor.to, Tensor.float, Tensor.type),
)
POINTWISE = (
    *(torch.sigmoid, Tensor.sigmoid, functional.hardsigmoid, functional.hardtanh, functional.softplus, torch.exp),
    *(Tensor.clamp, torch.clamp, Tensor.exp),
)
OFF_ZERO = (torch.pow, Tensor.pow, Tensor.__pow__, torch.rsqrt, Tensor.rsqrt)
SUMS = (torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__, torch.sub, Tensor.sub, Tensor.__sub__, Tensor.__rsub__)
PRODUCTS = (torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__, torch.addcmul, torch.maximum, torch.minimum)
DIVISIONS = (torch.div, torch.true_divide, Tensor.div, Tensor.__truediv__)


def rules(padding: str) -> Mapping[Any, Rule]:
    """The table of rules, with one of the PADDINGS before convolutions."""
    return {
        **{function: _alone(rule, windowed=True) for function, rule in _windowed(padding).items()},
        **{function: _alone(rule) for function, rule in (_reducing() | _moving() | _pointwise()).items()},
        **{function: positions.joined(function) for function in (*SUMS, *PRODUCTS)},
        **dict.fromkeys(DIVISIONS, positions.divided),
        **dict.fromkeys((torch.cat, torch.concat), shapes.cat),
        torch.stack: shapes.stack,
        Tensor.expand_as: positions.expand_as,
    }


def _windowed(padding: str) -> dict[Any, Rule]:
    return {
        functional.conv2d: windows.convolution(padding),
        **dict.fromkeys((functional.max_pool2d, torch.max_pool2d), windows.max_pool2d),
        functional.avg_pool2d: windows.avg_pool2d,
        functional.pad: windows.pad,
        functional.interpolate: windows.interpolate,
    }


def _reducing() -> dict[Any, Rule]:
    return {
        functional.adaptive_avg_pool2d: statistics.adaptive_avg_pool2d,
        functional.adaptive_max_pool2d: statistics.adaptive_max_pool2d,
        **dict.fromkeys((torch.mean, Tensor.mean), statistics.mean),
        **dict.fromkeys((torch.var, Tensor.var), statistics.var),
        **dict.fromkeys((torch.amax, Tensor.amax), statistics.amax),
        **dict.fromkeys((torch.sum, Tensor.sum), statistics.total),
        **dict.fromkeys((torch.norm, Tensor.norm), statistics.norm),
        functional.group_norm: statistics.group_norm,
        functional.instance_norm: statistics.instance_norm,
    }


def _moving() -> dict[Any, Rule]:
    return {
        **dict.fromkeys((torch.flatten, Tensor.flatten), shapes.flatten),
        **dict.fromkeys((torch.reshape, Tensor.reshape, Tensor.view), shapes.reshape),
        **dict.fromkeys((torch.unflatten, Tensor.unflatten), shapes.unflatten),
        **dict.fromkeys((torch.permute, Tensor.permute), shapes.permute),
        **dict.fromkeys((torch.transpose, Tensor.transpose), shapes.transpose),
        **dict.fromkeys((torch.unsqueeze, Tensor.unsqueeze), shapes.unsqueeze),
        **dict.fromkeys((torch.unbind, Tensor.unbind), shapes.unbind),
        **{function: shapes.parts(function) for function in (torch.chunk, Tensor.chunk, torch.split, Tensor.split)},
        Tensor.__getitem__: shapes.getitem,
    }


def _pointwise() -> dict[Any, Rule]:
    over_last = (functional.layer_norm, functional.linear, functional.rms_norm)
    return {
        functional.batch_norm: positions.batch_norm,
        **{function: positions.over_last(function) for function in over_last},
        **dict.fromkeys((torch.softmax, Tensor.softmax, functional.softmax), positions.softmax),
        **{function: positions.pointwise(function) for function in POINTWISE},
        **{function: positions.pointwise_through_zero(function) for function in THROUGH_ZERO},
        **{function: positions.pointwise_off_zero(function) for function in OFF_ZERO},
    }


def _alone(rule: Rule, *, windowed: bool = False) -> Rule:
    """The rule for one partly visible argument, the first; windows slide over (B, C, H, W) and may meet a border."""

    def checked(*args: Any, **kwargs: Any) -> Any:
        given = list(found(args, kwargs))
        x = args[0] if args else kwargs.pop("input")
        if len(given) != 1 or given[0] is not x:
            refuse("features in the place of a parameter")
        if windowed and x.axes != IMAGE:
            refuse(f"a window over features laid {x.axes}")
        if not windowed:
            positions.without_borders(given)
        return rule(x, *args[1:], **kwargs)

    return checked
