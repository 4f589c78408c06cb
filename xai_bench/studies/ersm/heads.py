"""Every energy mask of a sweep, trained at once on the same frozen features: one pass over the data for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from xai_bench.ersm import EnergyMask, ErsmModel
from xai_bench.ersm.layer import EPSILON, OPEN_BIAS, PUBLISHED_BIAS, Features
from xai_bench.training import Figures, Recipe
from xai_bench.training.loop import Rows, accuracy, fit, seeded
from xai_bench.types import Labels

CHUNK = 256  # images whose price is computed at once
STARTS = {"closed": PUBLISHED_BIAS, "open": OPEN_BIAS}


@dataclass(frozen=True)
class Variant:
    """One energy mask of the sweep: by which recipe it learns, where its bias starts, and what the energy weighs."""

    recipe: Literal["published", "fast"]
    start: Literal["closed", "open"]
    learnt: bool  # the bias; the published one never moves
    unary: float  # lambda
    pairwise: float  # gamma

    def __str__(self) -> str:
        return f"{self.place}, {self.unary:g}/{self.pairwise:g}"

    @property
    def place(self) -> str:
        """`published recipe, closed fixed` is the paper's."""
        return f"{self.recipe} recipe, {self.start} {'learnt' if self.learnt else 'fixed'}"

    @property
    def keywords(self) -> dict[str, Any]:
        """What EnergyMask is told: `reference` is the published layer."""
        weights = {"unary_weight": self.unary, "pairwise_weight": self.pairwise}
        if self.start == "closed" and not self.learnt:
            return {"mode": "reference", **weights}
        return {"mode": "stable", "start": STARTS[self.start], **weights}

    def mask(self, channels: int, patch_size: int) -> EnergyMask:
        """The layer, with new first weights."""
        return EnergyMask(channels, patch_size, **self.keywords)


class Elsewhere(nn.Module):
    """Stands for a backbone whose features are handed in."""

    def forward_features(self, images: Tensor) -> Tensor:
        raise NotImplementedError


class _Heads(nn.Module):
    """The learnt numbers of M masks and linear heads, stacked; AdamW treats every number by itself."""

    def __init__(self, first: ErsmModel, variants: Sequence[Variant]) -> None:
        super().__init__()
        count, mask, head = len(variants), first.mask, first.head
        self.weight = nn.Parameter(mask.weight.detach().repeat(count, 1))  # (M, D)
        self.bias = nn.Parameter(torch.tensor([STARTS[variant.start] for variant in variants]))  # (M,)
        self.head_weight = nn.Parameter(head.weight.detach().repeat(count, 1, 1))  # (M, K, C)
        self.head_bias = nn.Parameter(head.bias.detach().repeat(count, 1))  # (M, K)
        start = self.bias.detach().clone()
        learnt = torch.tensor([variant.learnt for variant in variants])
        for name, values in (("start", start), ("learnt", learnt)):
            self.register_buffer(name, values, persistent=False)
        self.start: Tensor
        self.learnt: Tensor

    def biases(self) -> Float[Tensor, " M"]:
        """Those that are not learnt stay where they start."""
        return torch.where(self.learnt, self.bias, self.start)


class _Read(NamedTuple):
    """What M masks make of the same images."""

    logits: Float[Tensor, "B M K"]
    keep: Float[Tensor, "B M N"]
    logit: Float[Tensor, "B M N"]  # z, of the mask


def train_heads(
    features: Features,
    labels: Labels,
    variants: Sequence[Variant],
    recipe: Recipe,
    *,
    num_classes: int,
    patch_size: int = 1,
    progress: bool = True,
) -> list[ErsmModel]:
    """One ErsmModel per variant, with a backbone that takes no images, in eval mode.

    The same as `train_ersm` on features that are computed once: the same first weights, order, loss and optimiser, up
    to rounding. In mode `reference` it differs from the published training in one thing: batch-norm statistics of the
    frozen backbone do not drift.
    """
    prices = pairwise_prices(features, patch_size)
    unary, pairwise = (torch.tensor([getattr(v, name) for v in variants])[:, None] for name in ("unary", "pairwise"))
    mask = variants[0].mask(features.shape[1], patch_size)
    with seeded(recipe, "ersm"):
        heads = _Heads(_fresh(mask, num_classes), variants)

        def step(rows: Rows) -> Figures:
            seen = _read(heads, features[rows], patch_size)
            energy = unary * functional.softplus(seen.logit) + pairwise * prices[rows][:, None]
            wanted = labels[rows][:, None].expand(-1, len(variants))
            entropy = functional.cross_entropy(seen.logits.flatten(0, 1), wanted.flatten(), reduction="sum")
            loss = entropy / len(rows) + (seen.keep * energy).mean((0, 2)).sum()
            right = accuracy(seen.logits.flatten(0, 1).detach(), wanted.flatten())
            return {"loss": loss, "accuracy": right, "keep": seen.keep.detach().mean()}

        fit(heads, step, len(labels), recipe, title=f"{len(variants)} heads", progress=progress)
    return [_split(heads, number, variant, patch_size) for number, variant in enumerate(variants)]


def train_head(
    features: Features, labels: Labels, recipe: Recipe, *, num_classes: int, progress: bool = True
) -> nn.Linear:
    """The published baseline: a linear head on the pooled frozen features, without a mask, by the same recipe."""
    with seeded(recipe, "head"):
        head = nn.Linear(features.shape[1], num_classes)

        def step(rows: Rows) -> Figures:
            logits = head(features[rows].mean((2, 3)))
            return {
                "loss": functional.cross_entropy(logits, labels[rows]),
                "accuracy": accuracy(logits, labels[rows]),
            }

        fit(head, step, len(labels), recipe, title="head without a mask", progress=progress)
    return head


@torch.no_grad()
def pairwise_prices(features: Features, patch_size: int) -> Float[Tensor, "n N"]:
    """What keeping each token costs for resembling its neighbours, at gamma = 1; it depends on features alone."""
    mask = EnergyMask(features.shape[1], patch_size, unary_weight=0, pairwise_weight=1)
    return torch.cat([mask(chunk).energy.flatten(1) for chunk in torch.split(features, CHUNK)])


def _read(heads: _Heads, features: Features, patch_size: int) -> _Read:
    cells = functional.pixel_unshuffle(features, patch_size).flatten(2)  # (B, D, N), unfold's order
    units = cells / (torch.linalg.vector_norm(cells, dim=1, keepdim=True) + EPSILON)
    logit = heads.weight @ units + heads.biases()[:, None]
    keep = torch.sigmoid(-logit)
    sums = functional.avg_pool2d(features, patch_size, divisor_override=1) if patch_size > 1 else features
    pooled = keep @ sums.flatten(2).mT / features[0, 0].numel()  # (B, M, C)
    logits = torch.einsum("bmc,mkc->bmk", pooled, heads.head_weight) + heads.head_bias
    return _Read(logits, keep, logit)


def _fresh(mask: EnergyMask, num_classes: int) -> ErsmModel:
    """First weights drawn in the order in which `train_ersm` draws them."""
    mask.reset_parameters()
    return ErsmModel(Elsewhere(), num_classes=num_classes, mask=mask)


@torch.no_grad()
def _split(heads: _Heads, number: int, variant: Variant, patch_size: int) -> ErsmModel:
    count, channels = heads.head_weight.shape[1:]
    model = ErsmModel(Elsewhere(), num_classes=count, mask=variant.mask(channels, patch_size))
    for own, stacked in (
        (model.mask.weight, heads.weight),
        (model.mask.bias, heads.biases()),
        (model.head.weight, heads.head_weight),
        (model.head.bias, heads.head_bias),
    ):
        own.copy_(stacked[number])
    return model.eval()
