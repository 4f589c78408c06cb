"""One model trained: built, fed, taken through its epochs, and going on where an earlier start was killed."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from xai_bench.adapters import VisionModel
from xai_bench.adapters.load import find_device
from xai_bench.data import Data
from xai_bench.errors import DataError, InvalidValueError, ModelError, UnsupportedError
from xai_bench.training.feed import Feed, check_learnable, feed_of
from xai_bench.training.lesson import Figures, Lesson
from xai_bench.training.loop import Epoch, Keeper, Learning, seeded
from xai_bench.training.recipe import Recipe
from xai_bench.training.trainer import Start, Trainer, classifiers

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


class Trained(NamedTuple):
    """A model that has gone through its recipe, and what each epoch gave."""

    model: VisionModel
    epochs: tuple[Epoch, ...]


def train(
    trainer: Trainer,
    data: Data,
    recipe: Recipe,
    *,
    backbone: Mapping[str, Tensor] | None = None,
    keeper: Keeper | None = None,
    device: str = "auto",
    workers: int | None = None,
    progress: bool = True,
) -> Trained:
    """A model of the data's classes, at the data's size, in eval mode.

    `backbone` holds the weights of the model that the trainer's `backbone_of` names. With a `keeper` a training that
    was killed goes on from its last whole epoch, to the same weights bit for bit. On one machine with one number of
    threads, the same data, trainer and recipe give the same weights, however many workers read the images.
    Warns of what a kind finds wrong in the last figures, as an energy mask that ended open or closed.
    """
    place = find_device(device)
    check_trainable(trainer, data, recipe)
    with seeded(recipe, trainer.card.name), _repeatable(place):
        model = trainer.build(Start(len(data.classes), data.preprocessing.size, backbone))
        model.preprocessing = data.preprocessing
        module = model.module.to(place)
        trainer.ready(module)
        feed, step = _prepared(trainer, model, data, recipe, workers)
        updates = -(-feed.count // recipe.batch_size)
        learning = Learning(module, recipe, updates, _slow(trainer, module))
        epochs = learning.run(
            feed.lessons, step, feed.count, keeper=keeper, title=trainer.label or trainer.card.name, progress=progress
        )
    module.eval()
    if warning := trainer.warning(epochs[-1].figures):
        warnings.warn(warning, stacklevel=2)
    return Trained(model, tuple(epochs))


def check_trainable(trainer: Trainer, data: Data, recipe: Recipe) -> None:
    """Refuse what cannot be trained together, before anything is."""
    check_learnable(data, regions="regions" in trainer.card.needs)
    name = trainer.label or trainer.card.name
    if len(data.classes) < 2:
        raise DataError(f"cannot train model {name!r} on {data.name!r}: it has {len(data.classes)} classes")
    if recipe.batch_size > len(data):
        raise InvalidValueError(
            f"batch_size of model {name!r} must be at most the number of images, {len(data)}, got {recipe.batch_size}"
        )
    if "regions" in trainer.card.needs and not recipe.augment.moves_masks:
        raise UnsupportedError(
            f"model {name!r} compares with object masks, which augmentation {recipe.augment.card.name!r} cannot move "
            "with the image; 'light' and 'none' can"
        )


def check_fitting(trainer: Trainer, model: VisionModel) -> None:
    """Refuse a model that cannot take the images, or whose objective does not fit it: one look at noise, no step."""
    module, size = model.module.eval(), model.input_size
    trunk = trainer.features(module)
    try:
        images = model.normalise(torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)))
        with torch.no_grad():
            inputs = images if trunk is None else trunk(images)
        trainer.objective(module)(module, Lesson(inputs, torch.tensor([0, 1]), torch.ones(2, *size, dtype=torch.bool)))
    except (RuntimeError, ValueError, IndexError, TypeError) as error:  # as layers complain of shapes
        name, reason = trainer.label or trainer.card.name, next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(f"model {name!r} cannot be trained on images of {size[0]} x {size[1]}: {reason}") from error


def _prepared(
    trainer: Trainer, model: VisionModel, data: Data, recipe: Recipe, workers: int | None
) -> tuple[Feed, Callable[[Lesson], Figures]]:
    """Where lessons come from and what is done with each."""
    module, trunk = model.module, trainer.features(model.module)
    rounded = _rounded(recipe, model.device)
    steady = trunk is not None and not any(part.training for part in trainer.trunk(module).modules())

    @torch.no_grad()
    def features(images: Tensor) -> Tensor:
        assert trunk is not None
        with rounded():
            return trunk(images)

    feed, made = feed_of(
        data, model, recipe.augment, regions="regions" in trainer.card.needs, seed=recipe.seed, workers=workers,
        features=features if steady else None,
    )  # fmt: skip
    objective = trainer.objective(module)

    def step(lesson: Lesson) -> Figures:
        if trunk is not None and not made:
            lesson = lesson._replace(inputs=features(lesson.inputs))
        with rounded():
            return objective(module, lesson)

    return feed, step


def _slow(trainer: Trainer, module: nn.Module) -> list[nn.Parameter]:
    """The backbone's parameters, which learn at a rate of their own."""
    trunk = trainer.trunk(module)
    heads = classifiers(trunk)
    return [value for name, value in trunk.named_parameters() if not name.startswith(heads)]


def _rounded(recipe: Recipe, device: torch.device) -> Callable[[], "torch.autocast | nullcontext[None]"]:
    """Forward passes in the recipe's precision."""
    if recipe.precision == "fp32":
        return nullcontext
    return lambda: torch.autocast(device.type, torch.bfloat16)


@contextmanager
def _repeatable(device: torch.device) -> Iterator[None]:
    """Sums in one order on a GPU too, where its libraries know how; flags and environment are put back."""
    if device.type != "cuda":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    tuned = torch.backends.cudnn.benchmark
    workspace = os.environ.get(WORKSPACE)
    os.environ.setdefault(WORKSPACE, ":4096:8")  # cuBLAS reads it when it starts
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = tuned
        if workspace is None:
            os.environ.pop(WORKSPACE, None)
