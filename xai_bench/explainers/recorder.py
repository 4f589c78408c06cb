"""Attention matrices of a transformer, recorded as it runs, whether its kernel is fused or not."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from xai_bench.adapters import VisionModel

SOFTMAX = (Tensor.softmax, torch.softmax, functional.softmax)
PRODUCT = (Tensor.matmul, torch.matmul, torch.bmm, Tensor.bmm, torch.einsum)  # `@` is Tensor.matmul


@contextmanager
def recorded(model: VisionModel) -> Iterator[list[Tensor]]:  # noqa: ARG001
    """Every attention matrix that weighs values as the model runs, in the order of execution, as part of the graph.

    Those of a transformer's block are (B, heads, N, N) over its N tokens, one that pools tokens (B, heads, L, N).
    Where gradients are on, the graph begins at the first matrix if it did not before. Each is what the forward pass
    used, so its gradient is the model's; a fused kernel is replaced by its definition meanwhile, the same to rounding.
    Attention inside a single call that cannot be looked into (`nn.MultiheadAttention`), or that is mixed between
    softmax and values, is not recorded. Nothing of the model or of torch is changed.
    """
    recorder = _Recorder()
    with recorder:
        yield recorder.matrices


class _Recorder(TorchFunctionMode):
    """Sees torch's functions as they are called inside a `with`, and nothing of the calls that they make in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.matrices: list[Tensor] = []
        self._softmax: Tensor | None = None  # the last one, until it meets its values

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            return self._attention(*args, **given)
        if self._softmax is not None and func in PRODUCT and any(operand is self._softmax for operand in args[:2]):
            self.matrices.append(self._softmax)
            self._softmax = None
        result = func(*args, **given)
        if func in SOFTMAX and result.ndim >= 3:  # (B, heads, N, N) or (B * heads, N, N); a head's has two axes
            self._softmax = _rooted(result)
        return result

    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,  # noqa: FBT001, FBT002
        scale: float | None = None,
        enable_gqa: bool = False,  # noqa: FBT001, FBT002
    ) -> Tensor:
        """The signature and the definition of torch's `scaled_dot_product_attention`."""
        if enable_gqa:
            key, value = (part.repeat_interleave(query.shape[-3] // part.shape[-3], -3) for part in (key, value))
        scores = (query * (query.shape[-1] ** -0.5 if scale is None else scale)) @ key.transpose(-2, -1)
        if is_causal:
            attn_mask = torch.ones_like(scores[0, 0], dtype=torch.bool).tril()
        if attn_mask is not None:
            masked = attn_mask.dtype == torch.bool
            scores = scores.masked_fill(~attn_mask, -torch.inf) if masked else scores + attn_mask
        weights = _rooted(functional.dropout(scores.softmax(-1), dropout_p))
        self.matrices.append(weights)
        return weights @ value


def _rooted(weights: Tensor) -> Tensor:
    """The same tensor; where gradients are on but none reaches it, the graph begins here."""
    return weights.requires_grad_() if torch.is_grad_enabled() and not weights.requires_grad else weights
