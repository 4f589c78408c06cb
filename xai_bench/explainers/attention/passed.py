"""Relevance on its way down a plain vision transformer, block by block."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.func import functional_call

from xai_bench.adapters import VisionModel
from xai_bench.errors import UnsupportedError, XaiBenchError
from xai_bench.explainers.asked import plain, read
from xai_bench.explainers.attention.propagation import divided, through_linear, through_product, through_sum
from xai_bench.explainers.attention.tokens import Tokens, tokens
from xai_bench.explainers.recorder import recorded
from xai_bench.types import Images, Targets

_ATTENTION = ("attn.qkv", "attn.q_norm", "attn.k_norm", "attn.proj")
PARTS = ("norm1", *_ATTENTION, "drop_path1", "norm2", "mlp.fc1", "mlp.fc2", "drop_path2")
COVERED = "timm's VisionTransformer with plain blocks (ViT, DeiT, DeiT-III, DINOv2) and a class token or mean pooling"
Matrix = Float[Tensor, "B heads N N"]
Relevance = Float[Tensor, "B N D"]


class Passed(NamedTuple):
    """What a block's attention matrix was given: its gradient, and its relevance."""

    gradient: Matrix
    relevance: Matrix


class Ran(NamedTuple):
    """What went into a module, and what came out."""

    input: Tensor
    output: Tensor


Steps = Mapping[str, Ran]  # name of a module -> what it did


def uncovered(model: VisionModel) -> str:
    """Why relevance cannot be propagated through this model, "" where it can."""
    try:
        tokens(model)
    except XaiBenchError as error:
        return str(error)
    fault = _fault(plain(model).module)
    return f"transformer_attribution covers {COVERED}, but model {model.label!r} has {fault}" if fault else ""


def passed(model: VisionModel, images: Images, targets: Targets) -> list[Passed]:
    """Gradient and relevance of each block's attention, first block first; one forward and one backward pass.

    In double precision: where terms nearly cancel, the rules divide by their sum, which is rounding in single precision
    (a tenth of the map's maximum on a ViT-Ti).
    """
    fault = uncovered(model)
    if fault:
        raise UnsupportedError(fault)
    module: Any = plain(model).module
    with _running(module) as ran, recorded(model) as attention:
        logits = _in_double(module, model.normalise(images.detach()))
    score = read(model, logits.float(), targets, "logit").sum()
    *gradients, slope = torch.autograd.grad(score, [*attention, ran["head"].input])
    ran = {name: Ran(*map(Tensor.detach, step)) for name, step in ran.items()}
    relevance = _below_the_head(tokens(model), ran, ran["head"].input * slope)
    found = []
    for number in reversed(range(len(attention))):
        steps = {name: ran[f"blocks.{number}.{name}"] for name in PARTS}
        relevance, inside = _through_block(module.blocks[number], steps, attention[number].detach(), relevance)
        found.append(Passed(gradients[number], inside))
    return found[::-1]


def _in_double(module: nn.Module, inputs: Images) -> Float64[Tensor, "B K"]:
    """What the module gives in double precision; its own weights stay as they are."""
    state = dict((*module.named_parameters(), *module.named_buffers()))
    doubled = {name: value.double() if value.is_floating_point() else value for name, value in state.items()}
    return functional_call(module, doubled, (inputs.double(),))  # type: ignore[no-any-return]


def _below_the_head(known: Tokens, ran: Steps, products: Float[Tensor, "B D"]) -> Relevance:
    """Through the head, and on to the tokens that it reads.

    `products` are what each channel adds to the target's logit: channel times weight or, where a weighted sum of logits
    is asked for, times the weighted sum of weights, as if the head had that output. Its relevance is 1. Pooled tokens
    share a channel's relevance as far as they have its mean's sign (ours; the paper has a class token).
    """
    raising = products.clamp(min=0)
    channels = divided(raising, raising.sum(1, keepdim=True))
    last = ran["norm"].output
    pooled = last * known.rows(last[:1, None, :, 0]).transpose(1, 2)
    shares = (pooled * pooled.sum(1, keepdim=True).sign()).clamp(min=0)
    return divided(shares, shares.sum(1, keepdim=True)) * channels[:, None]


def _through_block(block: Any, steps: Steps, attention: Matrix, relevance: Relevance) -> tuple[Relevance, Matrix]:
    """What a block's input and its attention matrix get of the relevance of its output."""
    skipped, inner = through_sum(steps["norm2"].input, steps["drop_path2"].output, relevance)
    inner = through_linear(block.mlp.fc2, steps["mlp.fc2"].input, inner)
    relevance = skipped + through_linear(block.mlp.fc1, steps["mlp.fc1"].input, inner)
    skipped, inner = through_sum(steps["norm1"].input, steps["drop_path1"].output, relevance)
    inner = through_linear(block.attn.proj, steps["attn.proj"].input, inner)
    inner, inside = _through_attention(steps, attention, inner)
    return skipped + through_linear(block.attn.qkv, steps["attn.qkv"].input, inner), inside


def _through_attention(steps: Steps, attention: Matrix, relevance: Relevance) -> tuple[Float[Tensor, "B N E"], Matrix]:
    """What queries, keys and values, and the attention matrix, get of the relevance of what attention gives."""
    query, key = steps["attn.q_norm"].output, steps["attn.k_norm"].output  # (B, heads, N, d)
    count, heads, size, _ = query.shape
    value = steps["attn.qkv"].output.reshape(count, size, 3, heads, -1).select(2, 2).transpose(1, 2)
    inside, to_value = through_product(attention, value, relevance.reshape(count, size, heads, -1).transpose(1, 2))
    to_query, to_key = through_product(query, key.transpose(2, 3), inside)
    parts = torch.stack([to_query, to_key.transpose(2, 3), to_value])
    return parts.permute(1, 3, 0, 2, 4).flatten(2), inside


def _fault(module: Any) -> str:
    """By name, so that a subclass that computes something else is not taken for the real one."""
    if type(module).__name__ != "VisionTransformer" or not type(module).__module__.startswith("timm."):
        return f"the form of a {type(module).__name__}"
    if module.global_pool not in ("token", "avg") or not isinstance(module.head, nn.Linear):
        return f"the pooling {module.global_pool!r} and the head {type(module.head).__name__}"
    for block in module.blocks:
        kinds = [type(part).__name__ for part in (block, *(getattr(block, name, None) for name in ("attn", "mlp")))]
        if kinds != ["Block", "Attention", "Mlp"]:
            return f"blocks of a {kinds[0]} with {kinds[1]} and {kinds[2]}"
        extras = (block.attn.norm, block.mlp.norm, getattr(block.attn, "gate", None) or nn.Identity())
        if not all(isinstance(part, nn.Identity) for part in extras):
            return "blocks with a gate or a norm inside attention or MLP"
    return ""


@contextmanager
def _running(module: nn.Module) -> Iterator[dict[str, Ran]]:
    """What the head, the last norm and the parts of each block do, once the module has run."""
    ran: dict[str, Ran] = {}

    def record(name: str, _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ran[name] = Ran(inputs[0], output)

    names = [f"blocks.{number}.{part}" for number in range(len(module.blocks)) for part in PARTS]  # type: ignore[arg-type]
    hooks = [
        module.get_submodule(name).register_forward_hook(partial(record, name)) for name in ("head", "norm", *names)
    ]
    try:
        yield ran
    finally:
        for hook in hooks:
            hook.remove()
