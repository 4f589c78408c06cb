"""Which tokens a model's attention is between, and which of them its logits read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from xai_bench.adapters import VisionModel
from xai_bench.adapters.layers import Layout, token_layout
from xai_bench.errors import UnsupportedError
from xai_bench.explainers.asked import plain
from xai_bench.explainers.recorder import recorded
from xai_bench.explainers.upsample import upsample
from xai_bench.types import Images, Maps

Mixing = Float[Tensor, "B _ _"]  # (B, M, N), how M tokens are made of N: of a block (M = N), or of a pool
Row = Float[Tensor, "B 1 N"]  # a number per token
COVERED = "models that attend from all tokens to all tokens in every block (ViT, DeiT, BEiT, EVA, DINOv2 and v3, ...)"


@dataclass(frozen=True)
class Tokens:
    """What the logits of a transformer read after its last block."""

    blocks: int
    layout: Layout
    prefix: tuple[int, ...]  # tokens in front of the patches that are read: the class token, mostly
    patches: bool  # whether the patches are read
    pooled: bool  # whether attention pools what is read; its matrix comes after the blocks'

    def rows(self, like: Float[Tensor, "B 1 N"]) -> Row:
        """1 for each token that is read, 0 for others."""
        read = torch.zeros_like(like)
        read[..., self.prefix] = 1
        read[..., self.layout.prefix :] = float(self.patches)
        return read


class Mixed(NamedTuple):
    """What is read of the last block's tokens, summing to 1 or as attention pools it, and how each block mixes them."""

    read: Row
    blocks: list[Mixing]  # first block first
    pooled: bool


_KNOWN: WeakKeyDictionary[VisionModel, Tokens | str] = WeakKeyDictionary()


def tokens(model: VisionModel) -> Tokens:
    """Found out on one image of noise, once per model; UnsupportedError where attention is not between all tokens."""
    model = plain(model)
    if model not in _KNOWN:
        _KNOWN[model] = _found(model)
    found = _KNOWN[model]
    if isinstance(found, str):
        kind = type(model.module).__name__
        raise UnsupportedError(f"attention explainers cover {COVERED}, but model {model.label!r} is a {kind}, {found}")
    return found


def mixed(model: VisionModel, mixings: Sequence[Mixing]) -> Mixed:
    """The blocks' matrices, and what the logits read of the last block's tokens; one matrix for each recorded one.

    A class token is read alone, pooled tokens by their mean (a distilled model's two class tokens too), tokens that
    attention pools as that attention says.
    """
    known = tokens(model)
    blocks = list(mixings[: known.blocks])
    if known.pooled:
        read = mixings[-1].mean(1, keepdim=True)
        left_out = blocks[0].shape[2] - read.shape[2]  # tokens in front that the pool does not see
        return Mixed(functional.pad(read, (left_out, 0)), blocks, known.pooled)
    read = known.rows(blocks[0][:, :1])
    return Mixed(read / read.sum(2, keepdim=True), blocks, known.pooled)


def as_map(model: VisionModel, row: Row, images: Images) -> Maps:
    """The patches' numbers in their grid, upsampled bilinearly; other tokens' are left out."""
    layout = token_layout(plain(model).module, row.shape[2], images)
    if layout is None or layout.prefix != tokens(model).layout.prefix:
        height, width = images.shape[2:]
        raise UnsupportedError(
            f"the {row.shape[2]} tokens of model {model.label!r} for images of {height} x {width} make no grid"
        )
    return upsample(layout.grid(row.transpose(1, 2))[:, 0], images)


def _found(model: VisionModel) -> Tokens | str:
    """What one image of noise shows, or the reason why the model is not covered."""
    target = model.target_layer
    if target.layout.kind != "tokens":
        return f"whose layer {target.name!r} gives a grid of features, not tokens that attend to each other"
    with model.ready(), torch.inference_mode(mode=False), torch.enable_grad():
        noise = torch.rand(1, 3, *model.input_size, generator=torch.Generator().manual_seed(0)).to(model.device)
        with recorded(model) as matrices:
            logits = model(noise)
        pooled = len(matrices) > 1 and matrices[-1].shape[-2] != matrices[-1].shape[-1]
        blocks = matrices[:-1] if pooled else matrices
        fault = _fault(model, blocks)
        if fault:
            return fault
        layout = token_layout(model.module, blocks[0].shape[2], noise)
        if layout is None or math.prod(layout.size or ()) != math.prod(target.layout.size or ()):
            return f"whose attention is between {blocks[0].shape[2]} things that are not its tokens"
        read = _read(logits, blocks[-1], layout.prefix)
    prefix = tuple(read[: layout.prefix].nonzero()[:, 0].tolist())
    return Tokens(len(blocks), layout, prefix, bool(read[layout.prefix :].any()), pooled)


def _fault(model: VisionModel, blocks: Sequence[Tensor]) -> str:
    shapes = list(dict.fromkeys(tuple(matrix.shape) for matrix in blocks))
    expected = len(getattr(model.module, "blocks", blocks))
    if not blocks:
        return "whose attention cannot be recorded: no softmax is seen to weigh values"
    if len(blocks) != expected:
        return f"whose {expected} blocks attend {len(blocks)} times: not once each, as softmax times values"
    sizes = {shape[-2:] for shape in shapes}
    if any(len(shape) != 4 or shape[0] != 1 or shape[2] != shape[3] for shape in shapes) or len(sizes) > 1:
        return f"whose attention for one image is {' and '.join(map(str, shapes[:3]))}: not between the same tokens"
    return ""


def _read(logits: Tensor, last: Tensor, prefix: int) -> Tensor:
    """Which tokens (N,) the logits depend on behind the last block: a row of attention makes one token alone.

    Where they depend on none (a head of zeros), what is usual: the class token, without one the patches.
    """
    weights = torch.linspace(1, 2, logits.shape[1], device=logits.device, dtype=logits.dtype)
    if not logits.requires_grad:
        return _usual(last, prefix)
    gradient = torch.autograd.grad((logits * weights).sum(), last, materialize_grads=True)[0]
    read = (gradient[0] != 0).any(2).any(0)
    return read if read.any() else _usual(last, prefix)


def _usual(last: Tensor, prefix: int) -> Tensor:
    size = last.shape[2]
    return torch.arange(size, device=last.device) < (1 if prefix else size)
