"""Models trained anew on what an explainer leaves of the train set: each once in a process, whoever asks."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from xai_bench.engine import Case, Scene
from xai_bench.errors import DataError, InvalidValueError
from xai_bench.removal import PixelRemoval
from xai_bench.seeding import digest
from xai_bench.training import Recipe, TrainSet, train_anew
from xai_bench.types import Batch, Labels, Maps

ROOM = 4 * 2**30  # bytes of models that are remembered; beyond it those that were asked for longest ago are forgotten
Span = tuple[
    int, int
]  # places of the ranking that remain visible: from the first, before the second; 0 = most relevant


@dataclass(frozen=True)
class Lesson:
    """All that decides what a model trained anew becomes. `explain` is equal for equal explainers."""

    model: str  # fingerprint of the weights, and the layers as torch prints them
    device: str
    explain: Callable[[Scene], Maps]
    train: TrainSet
    size: tuple[int, int]
    given: bool  # whether the labels are explained, else the predicted classes
    seed: int
    removal: PixelRemoval
    recipe: Recipe
    span: Span


_known: OrderedDict[Lesson, nn.Module] = OrderedDict()


def learners(
    case: Case, train: TrainSet, removal: PixelRemoval, recipes: Sequence[Recipe], spans: Sequence[Span]
) -> list[list[nn.Module]]:
    """For each span the models that saw only this part of each image's ranking, one for each recipe."""
    lessons = [[_lesson(case, train, removal, recipe, span) for recipe in recipes] for span in spans]
    missing = [lesson for row in lessons for lesson in row if lesson not in _known]
    found = {lesson: _known[lesson] for row in lessons for lesson in row if lesson in _known}
    for lesson, module in _learn(case, missing):
        found[lesson] = _known[lesson] = module
    for lesson in found:
        _known.move_to_end(lesson)
    _forget()
    return [[found[lesson] for lesson in row] for row in lessons]


def inputs(case: Case, removal: PixelRemoval, span: Span) -> Tensor:
    """The images of a case with only these places of the ranking visible, normalised, (B, 3, H, W)."""
    images = case.batch.images
    places = case.ranks().view(len(images), *images.shape[2:])
    keep = (places >= span[0]) & (places < span[1])
    return case.scene.model.normalise(removal.alter(images, keep.float(), case.scene.state(removal)))


def _lesson(case: Case, train: TrainSet, removal: PixelRemoval, recipe: Recipe, span: Span) -> Lesson:
    scene = case.scene
    height, width = case.batch.images.shape[2:]
    size, given, device = (height, width), scene.given is not None, str(scene.model.device)
    return Lesson(
        digest(scene.model.fingerprinted(), scene.model.module),
        device,
        case.explain_scene,
        train,
        size,
        given,
        scene.seed,
        removal,
        recipe,
        span,
    )


@torch.inference_mode(mode=False)
def _learn(case: Case, lessons: Sequence[Lesson]) -> Iterator[tuple[Lesson, nn.Module]]:
    if not lessons:
        return
    cases = list(_explained(case, lessons[0]))
    labels = torch.cat([_labels(one) for one in cases])
    for span in dict.fromkeys(lesson.span for lesson in lessons):
        with torch.no_grad():
            seen = torch.cat([inputs(one, lessons[0].removal, span) for one in cases])
        for lesson in lessons:
            if lesson.span == span:
                yield lesson, train_anew(case.scene.model.module, seen, labels, lesson.recipe)


def _explained(case: Case, lesson: Lesson) -> Iterator[Case]:
    """The train set, batch after batch, with the explainer's maps."""
    model = case.scene.model
    data = lesson.train.load(replace(model.preprocessing, size=lesson.size))
    there = False
    for batch in map(_usable, data):
        if batch.labels is None:
            raise DataError(f"cannot train on {data.label!r}: its samples have no labels")
        if tuple(batch.images.shape[2:]) != lesson.size:
            made, wanted = (" x ".join(map(str, size)) for size in (batch.images.shape[2:], lesson.size))
            raise InvalidValueError(
                f"images of train {data.label!r} must have the size of those scored, {wanted}, got {made}"
            )
        if len(batch):
            there = True
            targets = batch.labels if lesson.given else None
            scene = Scene(model, batch, targets=targets, seed=lesson.seed, engine=case.scene.engine)
            yield Case(scene, lesson.explain(scene))
    if not there:
        raise DataError(f"cannot train on {data.label!r}: none of its images can be read")


def _usable(batch: Batch) -> Batch:
    """Without the images that cannot be read."""
    if not any(batch.faults):
        return batch
    good = [row for row, fault in enumerate(batch.faults) if not fault]
    labels = None if batch.labels is None else batch.labels[good]
    return Batch(batch.images[good], tuple(batch.ids[row] for row in good), labels=labels)


def _labels(case: Case) -> Labels:
    assert case.batch.labels is not None
    return case.batch.labels


def _forget() -> None:
    while len(_known) > 1 and sum(map(_bytes, _known.values())) > ROOM:
        _known.popitem(last=False)


def _bytes(module: nn.Module) -> int:
    return sum(value.nbytes for value in module.state_dict().values())
