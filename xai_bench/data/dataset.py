"""What every data set is: numbered samples that come as batches."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from xai_bench.data.image import Preprocessing
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.types import Batch, Box, Card, Regions

AT_224 = Preprocessing((224, 224))


@dataclass(frozen=True, eq=False)
class Sample:
    """One image with what is known about it; what is not known is None."""

    image: Float32[Tensor, "3 H W"]  # RGB in [0, 1]
    id: str  # stable, unique in the data set
    size: tuple[int, int]  # original (H, W)
    label: int | None = None
    region: Bool[Tensor, "H W"] | None = None  # the object
    distractor: Bool[Tensor, "H W"] | None = None  # objects that do not decide the class
    ignore: Bool[Tensor, "H W"] | None = None  # pixels that count neither way
    boxes: tuple[Box, ...] = ()  # original pixels
    fault: str = ""  # why it cannot be used; its image is black


@dataclass(frozen=True, kw_only=True, eq=False)
class Data(ABC):
    """An iterable of Batch whose fields are its options. `len(data)` counts images, not batches.

    `batch_size` and `label` cannot change a number and stay out of the fingerprint; every other option is in it.
    """

    card: ClassVar[Card]
    splits: ClassVar[tuple[str, ...]] = ("test",)
    can_know: ClassVar[frozenset[str]] = frozenset({"labels"})  # all that `knows` may hold, whatever the options
    generated: ClassVar[bool] = False  # drawn by us, at its own size whatever the models expect

    split: str = "test"
    n: int | None = None  # how many images
    seed: int = 0
    batch_size: int = 32
    preprocessing: Preprocessing = AT_224
    label: str = ""  # how a suite calls it; `name` where empty

    def __post_init__(self) -> None:
        if self.split not in self.splits:
            raise UnknownNameError.of(f"split of {self.card.name}", self.split, self.splits)
        for option in ("n", "batch_size"):
            value = getattr(self, option)
            if value is not None and value < 1:
                raise InvalidValueError(f"{option} of dataset {self.card.name} must be at least 1, got {value}")
        object.__setattr__(self, "label", self.label or self.name)

    @property
    def name(self) -> str:
        """The data set and what of it: `planted/shifted`, `folder/birds`."""
        return self.card.name

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels; empty where there are no labels."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits over everything that decides what the samples are."""

    @property
    @abstractmethod
    def knows(self) -> frozenset[str]:
        """Which of labels, regions, distractors, ignore and boxes its batches carry."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def id(self, index: int) -> str:
        """The id of the sample at an index in range(len(self)), without making the sample."""

    @abstractmethod
    def sample(self, index: int) -> Sample:
        """The sample at an index in range(len(self))."""

    def ids(self, start: int, stop: int) -> tuple[str, ...]:
        """The ids of a slice, without decoding an image."""
        return tuple(map(self.id, range(len(self))[start:stop]))

    @property
    def slices(self) -> tuple[tuple[int, int], ...]:
        """Start and stop of each batch."""
        count = len(self)
        return tuple((start, min(start + self.batch_size, count)) for start in range(0, count, self.batch_size))

    def __getitem__(self, index: int) -> Sample:
        return self.sample(range(len(self))[index])

    def __iter__(self) -> Iterator[Batch]:
        return (self.batch(start, stop) for start, stop in self.slices)

    def batch(self, start: int, stop: int) -> Batch:
        """The samples of a slice as one batch; InvalidValueError where the slice is empty."""
        samples = [self.sample(index) for index in range(len(self))[start:stop]]
        if not samples:
            raise InvalidValueError(f"batch [{start}:{stop}] of {self.label} is empty; it has {len(self)} images")
        return collate(samples, self.knows)


def collate(samples: Sequence[Sample], knows: frozenset[str]) -> Batch:
    """One batch of samples; a sample without a mask in a data set that knows masks gets one that is all False."""
    labels = [sample.label for sample in samples if sample.label is not None]
    masks: dict[str, Callable[[Sample], Tensor | None]] = {
        "regions": lambda sample: sample.region,
        "distractors": lambda sample: sample.distractor,
        "ignore": lambda sample: sample.ignore,
    }
    return Batch(
        images=torch.stack([sample.image for sample in samples]),
        ids=tuple(sample.id for sample in samples),
        labels=torch.tensor(labels, dtype=torch.int64) if "labels" in knows else None,
        sizes=tuple(sample.size for sample in samples),
        boxes=tuple(sample.boxes for sample in samples) if "boxes" in knows else (),
        faults=tuple(sample.fault for sample in samples),
        **{name: _stack(samples, mask) for name, mask in masks.items() if name in knows},
    )


def _stack(samples: Sequence[Sample], mask: Callable[[Sample], Tensor | None]) -> Regions:
    empty = torch.zeros(samples[0].image.shape[1:], dtype=torch.bool)
    found = map(mask, samples)
    return torch.stack([empty if one is None else one for one in found])
