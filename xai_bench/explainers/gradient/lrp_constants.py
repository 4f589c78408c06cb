"""What counts as a constant in relevance propagation: gates, attention weights, the deviation of a layer norm."""

from typing import Any

import torch
from torch import Tensor

from xai_bench.explainers.gradient.rules import Function


def constant(function: Function, x: Tensor, /, *rest: Any, **named: Any) -> Tensor:
    """A gate or an attention weight, which takes no relevance."""
    return function(x.detach(), *rest, **named)


def layer_norm(
    function: Function,  # noqa: ARG001
    x: Tensor,
    shape: tuple[int, ...],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Its mean is subtracted, its deviation is a constant."""
    axes = tuple(range(-len(shape), 0))
    centred = x - x.mean(axes, keepdim=True)
    scale = (x.detach().var(axes, correction=0, keepdim=True) + eps).rsqrt()
    return centred * (scale if weight is None else scale * weight) + (0 if bias is None else bias)


def attention(
    function: Function,  # noqa: ARG001
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001
    is_causal: bool = False,  # noqa: FBT001, FBT002
    scale: float | None = None,
) -> Tensor:
    """Attention whose weights are constants: relevance goes to the values."""
    if is_causal:
        attn_mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(~attn_mask, -torch.inf)
    scores = query.detach() @ key.detach().transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    return (scores if attn_mask is None else scores + attn_mask).softmax(-1) @ value
