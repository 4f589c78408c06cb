"""Which of timm's transformers can look at some of their tokens only, and how they do it."""

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

import torch
from jaxtyping import Bool
from timm.layers.attention_pool import AttentionPoolLatent
from timm.layers.patch_embed import PatchEmbed
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from xai_bench.adapters import VisionModel
from xai_bench.errors import UnsupportedError
from xai_bench.types import Images, Keep, Logits

Transformer = VisionTransformer | VisionTransformerDistilled | Eva
COVERED = "timm's VisionTransformer and Eva (ViT, DeiT, DINOv2 and v3, SigLIP, EVA-02, ...) with patches side by side"
Stays = Bool[Tensor, "B N"]  # which patches are tokens, row by row


def transformer(model: VisionModel) -> Transformer:
    """The model's module, where token dropping covers it; else UnsupportedError."""
    module = model.module
    fault = _fault(module)
    if fault or not isinstance(module, Transformer):
        raise UnsupportedError(f"token dropping covers {COVERED}, but model {model.label!r} is {fault}")
    return module


def _fault(module: nn.Module) -> str:
    kind = type(module).__name__
    if type(module) not in (VisionTransformer, VisionTransformerDistilled, Eva):
        return f"a {kind}"
    if not _side_by_side(module.patch_embed):
        return f"a {kind} whose patches overlap or pass through other layers first"
    if not isinstance(module.attn_pool, AttentionPoolLatent | None):
        return f"a {kind} with the pooling {type(module.attn_pool).__name__}"
    if "attn_mask" not in signature(module.forward).parameters:
        return f"a {kind} of a timm too old to mask attention"
    return ""


def _side_by_side(embed: object) -> bool:
    if type(embed) is not PatchEmbed or not isinstance(embed.proj, nn.Conv2d):
        return False
    return embed.proj.kernel_size == embed.proj.stride == embed.patch_size and embed.proj.padding == (0, 0)


def visible_share(module: Transformer, keep: Keep) -> Tensor:
    """The visible share of each patch, (B, h, w); of its part inside the image where the model pads."""
    embed = module.patch_embed
    return functional.avg_pool2d(keep, embed.patch_size, ceil_mode=embed.dynamic_img_pad)


def look(module: Transformer, inputs: Images, stays: Stays) -> Logits:
    """Logits of normalised images by a model that has these patches' tokens only.

    No token attends to a dropped one, and pooling leaves dropped ones out, so that they are computed without effect.
    """
    prefix = module.num_prefix_tokens
    if _pools_from(module) == prefix:  # a model that pools over patches needs some: all of an empty image
        nothing = ~stays.any(1, keepdim=True)
        inputs, stays = inputs.masked_fill(nothing[..., None, None], 0), stays | nothing
    seen = functional.pad(stays, (prefix, 0), value=True)
    with _pooling(module, seen):
        return module(inputs, attn_mask=seen[:, None, None])  # type: ignore[no-any-return]


def _pools_from(module: Transformer) -> int:
    """The first token that the head's pooling reads."""
    if _attention_pool(module) is not None:
        everything = isinstance(module, Eva) or module.pool_include_prefix
    else:
        everything = module.global_pool == "token" or getattr(module, "pool_include_prefix", False)
    return 0 if everything else module.num_prefix_tokens


def _attention_pool(module: Transformer) -> nn.Module | None:
    return getattr(module, "attn_pool", None)


@contextmanager
def _pooling(module: Transformer, seen: Bool[Tensor, "B T"]) -> Iterator[None]:
    """Pooling over seen tokens only: an attention pool by a mask, others because dropped tokens become the mean.

    Neither the mean nor the maximum of some numbers changes when their mean is put beside them.
    """
    first = _pools_from(module)
    pooled = seen[:, first:]

    def becomes_mean(_module: nn.Module, _inputs: object, tokens: Tensor) -> Tensor:
        weight = pooled[..., None].to(tokens.dtype)
        mean = (tokens[:, first:] * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
        return torch.where(seen[..., None], tokens, mean)

    def masked(_module: nn.Module, inputs: tuple[Tensor, ...], given: dict[str, Any]) -> tuple[Any, Any]:
        weight = torch.zeros_like(pooled, dtype=inputs[0].dtype).masked_fill(~pooled, -torch.inf)
        return inputs, given | {"attn_mask": weight[:, None, None]}

    handles = [module.norm.register_forward_hook(becomes_mean)]
    pool = _attention_pool(module)
    if pool is not None:
        handles.append(pool.register_forward_pre_hook(masked, with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
