"""From a data set to lessons: held in memory where they fit and never change, else made batch by batch."""

import os
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from xai_bench.adapters import VisionModel
from xai_bench.data import Data, Sample, knowing
from xai_bench.errors import DataError
from xai_bench.seeding import key
from xai_bench.training.augment import Augmentation, Seen, Unchanged, drawn
from xai_bench.training.lesson import Lesson
from xai_bench.training.loop import Rows

HELD = 2**31  # bytes of lessons, or of generated samples, that are kept in memory
TINY = 256  # images below which starting processes costs more than it saves
CHUNK = 64  # images at once where all of them pass through

Features = Callable[[Tensor], Tensor]


class Feed(ABC):
    """Lessons of a data set, in any order, as often as asked; `count` is how many images there are to ask for."""

    count: int

    @abstractmethod
    def lessons(self, epoch: int, order: Sequence[Rows]) -> Iterable[Lesson]:
        """One lesson for each of these batches of positions; images that cannot be read are left out."""


@dataclass(frozen=True)
class Held(Feed):
    """All of them in memory, where the model is."""

    all: Lesson

    @property
    def count(self) -> int:  # type: ignore[override]
        """Images that could be read."""
        return len(self.all.labels)

    def lessons(self, epoch: int, order: Sequence[Rows]) -> Iterator[Lesson]:  # noqa: ARG002 - each epoch the same
        inputs, labels, regions = self.all
        return (Lesson(inputs[rows], labels[rows], None if regions is None else regions[rows]) for rows in order)


@dataclass(frozen=True)
class Streamed(Feed):
    """Read, augmented and normalised when asked for, in `workers` processes beside this one.

    What an image becomes is a function of (seed, epoch, id) and of nothing else.
    """

    sample: Callable[[int], Sample]
    count: int
    name: str
    model: VisionModel
    augment: Augmentation
    regions: bool = False  # whether the loss reads them
    seed: int = 0
    workers: int = 0

    def lessons(self, epoch: int, order: Sequence[Rows]) -> Iterator[Lesson]:
        pictures = _Pictures(self, epoch)
        on_gpu = self.model.device.type == "cuda"
        with (
            warnings.catch_warnings()
        ):  # of forking beside threads, and of more workers than cores: they were asked for
            warnings.simplefilter("ignore")
            batches = iter(
                DataLoader(
                    pictures,
                    batch_sampler=[rows.tolist() for rows in order],
                    num_workers=self.workers,
                    collate_fn=_stacked,
                    pin_memory=on_gpu,
                    generator=torch.Generator(),  # else a number is taken from the global state
                    multiprocessing_context="fork" if self.workers and sys.platform == "linux" else None,
                )
            )
        seen = 0
        for batch in batches:
            if batch is not None:
                seen += len(batch.labels)
                yield self._ready(batch)
        if not seen:
            raise DataError(f"cannot train on {self.name!r}: none of its images can be read")

    def _ready(self, batch: Lesson) -> Lesson:
        images, labels, regions = (
            None if part is None else part.to(self.model.device, non_blocking=True) for part in batch
        )
        assert images is not None
        assert labels is not None
        inputs = self.model.normalise(images).contiguous(memory_format=torch.channels_last)
        return Lesson(inputs, labels, regions)


class _Taken(NamedTuple):
    image: Tensor
    label: int
    region: Tensor | None


class _Pictures(Dataset[_Taken | None]):
    """The images of one epoch."""

    def __init__(self, feed: Streamed, epoch: int) -> None:
        self.feed, self.epoch, self.size = feed, epoch, feed.model.input_size

    def __getitem__(self, index: int) -> _Taken | None:
        feed = self.feed
        sample = feed.sample(index)
        if sample.fault or sample.label is None:
            return None
        region = _region(sample) if feed.regions else None
        with drawn(key(feed.seed, "augment", self.epoch, sample.id)):
            seen = feed.augment(Seen(sample.image, region), self.size, feed.model.mean)
        return _Taken(seen.image, sample.label, seen.region)


def _region(sample: Sample) -> Tensor:
    return torch.zeros(sample.image.shape[1:], dtype=torch.bool) if sample.region is None else sample.region


def _stacked(taken: Sequence[_Taken | None]) -> Lesson | None:
    found = [one for one in taken if one is not None]
    if not found:
        return None
    regions = [one.region for one in found if one.region is not None]
    labels = torch.tensor([one.label for one in found], dtype=torch.int64)
    return Lesson(torch.stack([one.image for one in found]), labels, torch.stack(regions) if regions else None)


def feed_of(
    data: Data,
    model: VisionModel,
    augment: Augmentation,
    *,
    regions: bool = False,
    seed: int = 0,
    workers: int | None = None,
    features: Features | None = None,
) -> tuple[Feed, bool]:
    """The lessons of a data set for a model, and whether their inputs are features already.

    In memory where nothing changes them and they fit. `features`, where given, never change: they stand for the images
    where they fit. Raises DataError where there is nothing to learn from.
    """
    check_learnable(data, regions=regions)
    source = augment.source(data.preprocessing)
    if source != data.preprocessing and not data.generated:
        data = replace(data, preprocessing=source)
    count, side = len(data), model.input_size
    streamed = Streamed(
        data.sample, count, data.name, model, augment, regions, seed, _workers_for(workers, count, data)
    )
    fits = count * 3 * side[0] * side[1] * 4 <= HELD
    if not isinstance(augment, Unchanged):
        return (replace(streamed, sample=_drawn_once(data)) if fits and data.generated else streamed), False
    if features is not None and (held := _held_features(streamed, features)) is not None:
        return held, True
    return (_held(streamed.lessons(0, in_order(count))) if fits else streamed), False


def check_learnable(data: Data, *, regions: bool) -> None:
    """Refuse data without what the loss reads."""
    if "labels" not in data.knows:
        raise DataError(f"cannot train on {data.name!r}: its samples have no labels")
    if regions and "regions" not in data.knows:
        raise DataError(
            f"cannot train on {data.name!r}: the loss compares with object masks, and it has none; data that may have "
            f"them: {', '.join(knowing('regions'))}"
        )


def _workers_for(asked: int | None, count: int, data: Data) -> int:
    """How many processes decode: as asked, else what a machine has to spare where pictures come from files."""
    if asked is not None:
        return asked
    pays = count >= TINY and sys.platform == "linux" and not data.generated
    return min(8, (os.cpu_count() or 1) - 1) if pays else 0


def in_order(count: int) -> Sequence[Rows]:
    """Batches of positions in which all of a data set passes through once."""
    return torch.split(torch.arange(count), CHUNK)


def _drawn_once(data: Data) -> Callable[[int], Sample]:
    """Drawing them anew would cost more than an epoch's training."""
    samples = [data.sample(index) for index in range(len(data))]
    return samples.__getitem__


@torch.no_grad()
def _held_features(streamed: Streamed, features: Features) -> Held | None:
    """The features of all images; None as soon as it shows that they would not fit."""
    found: list[Lesson] = []
    for lesson in streamed.lessons(0, in_order(streamed.count)):
        made = features(lesson.inputs)
        if made.nbytes / len(made) * streamed.count > HELD:
            return None
        found.append(lesson._replace(inputs=made))
    return _held(found)


def _held(lessons: Iterable[Lesson]) -> Held:
    inputs, labels, regions = zip(*lessons, strict=True)
    masks = None if regions[0] is None else torch.cat(regions)
    return Held(Lesson(torch.cat(inputs), torch.cat(labels), masks))
