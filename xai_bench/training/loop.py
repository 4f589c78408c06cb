"""One training loop: AdamW, a warm-up and a cosine, and an order of examples that only the seed decides."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from timm.scheduler.cosine_lr import CosineLRScheduler
from torch import Tensor, nn
from tqdm import tqdm

from xai_bench.data import Data
from xai_bench.errors import DataError, InvalidValueError
from xai_bench.seeding import key
from xai_bench.training.lesson import Figures
from xai_bench.types import Images, Labels

FIRST = 25  # the warm-up climbs from lr / 25, as in the one-cycle policy
Rows = Int64[Tensor, " n"]  # positions of the examples of one step


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to train; the defaults are ERSM's (arXiv 2604.06893, its published code)."""

    epochs: int = 20
    batch_size: int = 32
    lr: float = 1e-3
    weight_decay: float = 1e-4
    warmup: float = 0.0  # share of the steps in which the rate climbs to lr; then it falls to 0 along a cosine
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise InvalidValueError(f"{name} must be a whole number from 1, got {getattr(self, name)!r}")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise InvalidValueError(f"lr must be above 0, got {self.lr!r}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise InvalidValueError(f"weight_decay must be 0 or more, got {self.weight_decay!r}")
        if not 0 <= self.warmup < 1:
            raise InvalidValueError(f"warmup must be a share in [0, 1), got {self.warmup!r}")


class Examples(NamedTuple):
    """A whole data set in memory."""

    images: Images
    labels: Labels


def examples(data: Data) -> Examples:
    """All usable images of a data set with their labels; DataError where there are none."""
    batches = [batch for batch in data if batch.labels is not None]
    if not batches:
        raise DataError(f"cannot train on {data.name!r}: its samples have no labels")
    usable = torch.cat([torch.tensor([not fault for fault in batch.faults or ("",) * len(batch)]) for batch in batches])
    if not usable.any():
        raise DataError(f"cannot train on {data.name!r}: none of its images can be read")
    images = torch.cat([batch.images for batch in batches])
    labels = torch.cat([batch.labels for batch in batches if batch.labels is not None])
    return Examples(images[usable], labels[usable])


@contextmanager
def seeded(recipe: Recipe, purpose: str) -> Iterator[None]:
    """First weights and dropout drawn from the recipe's seed; the caller's random state is put back."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(key(recipe.seed, purpose))
        yield


def fit(
    model: nn.Module,
    step: Callable[[Rows], Figures],
    count: int,
    recipe: Recipe,
    *,
    title: str = "",
    progress: bool = True,
) -> dict[str, float]:
    """Minimise `step(rows)["loss"]` over `count` examples; the means of the last epoch's figures.

    Only parameters that require a gradient move. The bar goes to stderr, and only where that is a terminal.
    """
    model.train()
    orders = torch.Generator().manual_seed(key(recipe.seed, "order"))
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learnt, recipe.lr, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * math.ceil(count / recipe.batch_size)
    schedule = _schedule(optimiser, steps, recipe)
    means: dict[str, float] = {}
    taken = 0
    with tqdm(total=steps, desc=title, unit="step", disable=None if progress else True) as bar:
        for _ in range(recipe.epochs):
            seen = []
            for rows in torch.split(torch.randperm(count, generator=orders), recipe.batch_size):
                seen.append(_descend(step(rows), optimiser))
                schedule.step(taken := taken + 1)
                bar.update()
            means = {name: torch.stack([figures[name] for figures in seen]).mean().item() for name in seen[0]}
            bar.set_postfix(means)
    model.eval()
    return means


def _schedule(optimiser: torch.optim.Optimizer, steps: int, recipe: Recipe) -> CosineLRScheduler:
    climb = round(recipe.warmup * steps)
    return CosineLRScheduler(
        optimiser, steps - climb, warmup_t=climb, warmup_lr_init=recipe.lr / FIRST, warmup_prefix=True
    )


def _descend(figures: Figures, optimiser: torch.optim.Optimizer) -> Figures:
    optimiser.zero_grad()
    figures["loss"].backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return {name: value.detach() for name, value in figures.items()}


def accuracy(logits: Float[Tensor, "n K"], labels: Labels) -> Float[Tensor, ""]:
    """Share of examples whose highest logit is the label's."""
    return (logits.argmax(1) == labels).float().mean()
