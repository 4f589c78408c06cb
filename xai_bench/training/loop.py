"""One training loop: timm's optimisers and schedules, and an order of examples that only the seed decides."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from time import perf_counter
from typing import Any, NamedTuple, TypeVar, cast

import torch
from jaxtyping import Float, Int64
from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]
from timm.scheduler import create_scheduler_v2  # type: ignore[attr-defined]
from timm.scheduler.scheduler import Scheduler
from torch import Tensor, nn
from tqdm import tqdm

from xai_bench.data import Data
from xai_bench.errors import DataError, InvalidValueError, TrainingError, UnsupportedError
from xai_bench.seeding import key
from xai_bench.training.lesson import Figures
from xai_bench.training.recipe import Recipe
from xai_bench.types import Images, Labels

FIRST = 25  # the warm-up climbs from lr / 25, as in the one-cycle policy
LOOKED = 20  # steps between two looks at the figures
T = TypeVar("T")
Rows = Int64[Tensor, " _"]  # positions of the examples of one step


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

    Only parameters that require a gradient move, all at one rate. The bar goes to stderr, and only where that is a
    terminal. Refuses a recipe of which it could not do everything: that takes `training.train`.
    """
    _check_simple(recipe)
    model.train()
    learning = Learning(model, recipe, math.ceil(count / recipe.batch_size))
    epochs = learning.run(lambda _, order: order, step, count, title=title, progress=progress)
    model.eval()
    return dict(epochs[-1].figures)


def _check_simple(recipe: Recipe) -> None:
    """Refuse what happens around a step, which here is the caller's."""
    plain = Recipe()
    asked = {"augment": (recipe.augment.card.name, "none"), "precision": (recipe.precision, plain.precision)}
    for name, (value, allowed) in asked.items():
        if value != allowed:
            raise UnsupportedError(
                f"{name} of a recipe must be {allowed!r} here, got {value!r}; training.train and train suites take "
                "others"
            )


class Epoch(NamedTuple):
    """What one pass over the data gave."""

    figures: Mapping[str, float]  # means over its steps
    lr: float  # of its last step
    seconds: float


class Keeper(ABC):
    """Where a training leaves, after every epoch, all that the next one depends on."""

    @abstractmethod
    def recall(self, learning: "Learning") -> list[Epoch]:
        """Put the training back to where it was left, and say what its epochs gave; none where it is new."""

    @abstractmethod
    def keep(self, learning: "Learning", epochs: Sequence[Epoch]) -> None:
        """Leave it after the last of these epochs."""


class Learning:
    """A module, the optimiser and schedule that a recipe says, and the epochs they go through.

    `updates` are the steps of one epoch; `slow` are the parameters that learn at the recipe's backbone_lr.
    """

    def __init__(self, module: nn.Module, recipe: Recipe, updates: int, slow: Collection[nn.Parameter] = ()) -> None:
        self.module, self.recipe, self.updates = module, recipe, updates
        self.optimiser = _optimiser(module, recipe, slow)
        self.schedule = _schedule(self.optimiser, recipe.epochs * self._ticks, recipe)

    def run(
        self,
        lessons: Callable[[int, Sequence[Rows]], Iterable[T]],
        step: Callable[[T], Figures],
        count: int,
        *,
        keeper: Keeper | None = None,
        title: str = "",
        progress: bool = True,
    ) -> list[Epoch]:
        """Every epoch, or those that are missing: `lessons(epoch, order)` gives its batches, `step` the loss of one.

        Raises TrainingError at the epoch in which the loss is no finite number.
        """
        epochs = keeper.recall(self) if keeper else []
        bar = tqdm(
            total=self.recipe.epochs * self.updates,
            initial=len(epochs) * self.updates,
            desc=title,
            unit="step",
            disable=None if progress else True,
        )
        with bar:
            for number, order in islice(enumerate(_orders(count, self.recipe)), len(epochs), self.recipe.epochs):
                epochs.append(self._epoch(number, lessons(number, order), step, bar))
                if keeper:
                    keeper.keep(self, epochs)
        return epochs

    @property
    def _ticks(self) -> int:
        """How often the rate changes in an epoch."""
        return 1 if self.recipe.stepped == "epoch" else self.updates

    def _epoch(self, number: int, lessons: Iterable[T], step: Callable[[T], Figures], bar: "tqdm[Any]") -> Epoch:
        began, seen, rate = perf_counter(), list[Figures](), 0.0
        for index, lesson in enumerate(lessons):
            rate = self.optimiser.param_groups[-1]["lr"]
            seen.append(self._descend(step(lesson)))
            if self.recipe.stepped == "update":
                self.schedule.step(number * self.updates + index + 1)
            bar.update()
            if index % LOOKED == 0:  # not at every step: a GPU would have to wait
                self._check(number, seen[-1])
                bar.set_postfix({name: value.item() for name, value in seen[-1].items()})
        if self.recipe.stepped == "epoch":
            self.schedule.step(number + 1)
        means = {name: torch.stack([figures[name] for figures in seen]).mean() for name in seen[0]}
        self._check(number, means)
        found = {name: value.item() for name, value in means.items()}
        bar.set_postfix(found)
        return Epoch(found, rate, perf_counter() - began)

    def _descend(self, figures: Figures) -> Figures:
        self.optimiser.zero_grad()
        figures["loss"].backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return {name: value.detach() for name, value in figures.items()}

    def _check(self, number: int, figures: Figures) -> None:
        if not torch.isfinite(loss := figures["loss"]):
            raise TrainingError(
                f"the loss is {loss.item()} in epoch {number + 1} of {self.recipe.epochs}; lower lr "
                f"({self.recipe.lr:g}), or raise warmup ({self.recipe.warmup:g})"
            )


def _orders(count: int, recipe: Recipe) -> Iterator[tuple[Rows, ...]]:
    """The batches of each epoch, for ever: every example once, in an order that only the seed decides."""
    orders = torch.Generator().manual_seed(key(recipe.seed, "order"))
    while True:
        yield torch.split(torch.randperm(count, generator=orders), recipe.batch_size)


def _optimiser(module: nn.Module, recipe: Recipe, slow: Collection[nn.Parameter]) -> torch.optim.Optimizer:
    slowly = set(map(id, slow)) if recipe.backbone_lr != 1 else set[int]()
    learnt = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [one for one in learnt if id(one) in slowly], "lr_scale": recipe.backbone_lr},  # read by timm
        {"params": [one for one in learnt if id(one) not in slowly]},
    ]
    groups = [group for group in groups if group["params"]]
    try:
        made = create_optimizer_v2(groups, recipe.optimiser, recipe.lr, recipe.weight_decay)
    except (ImportError, AssertionError, TypeError, ValueError, RuntimeError) as error:
        raise InvalidValueError(f"optimiser {recipe.optimiser!r} cannot be made here: {error}") from error
    return made


def _schedule(optimiser: torch.optim.Optimizer, ticks: int, recipe: Recipe) -> Scheduler:
    climb = min(round(recipe.warmup * ticks), ticks - 1)
    made, _ = create_scheduler_v2(
        optimiser, recipe.schedule, ticks - climb, warmup_epochs=climb, warmup_lr=recipe.lr / FIRST, warmup_prefix=True,
        decay_rate=1.0,
    )  # fmt: skip
    return cast("Scheduler", made)


def accuracy(logits: Float[Tensor, "n K"], labels: Labels) -> Float[Tensor, ""]:
    """Share of examples whose highest logit is the label's."""
    return (logits.argmax(1) == labels).float().mean()
