"""Data sets that live in picture files: entries are listed and checked at construction, read one by one."""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from xai_bench.data.dataset import Data, Sample
from xai_bench.data.image import Geometry, read_picture, size_of
from xai_bench.data.masks import Mask, check_sizes, content
from xai_bench.errors import DataError, InvalidValueError, UnknownNameError
from xai_bench.seeding import digest, key
from xai_bench.types import Box

_MOST_CLASSES = 100_000  # a folder called 20240131 is a date


@dataclass(frozen=True)
class Entry:
    """One picture file and its annotations."""

    id: str
    path: Path
    label: int | None = None
    mask: Mask | None = None  # without one, the boxes filled in stand for the object
    boxes: tuple[Box, ...] = ()  # pixels of the original
    ignored: tuple[Box, ...] = ()  # boxes that count neither way where no other box covers them; read without a mask
    original: tuple[int, int] | None = None  # (H, W) where the file is a resized copy

    def provenance(self) -> tuple[object, ...]:
        """What decides the sample, wherever the files are."""
        drawn, values, *more = self.mask.provenance() if self.mask else (None, [])
        more += [self.ignored] if self.ignored else []
        return (self.id, content(self.path), self.label, drawn, values, self.boxes, self.original, *more)


@dataclass(frozen=True, kw_only=True, eq=False)
class FileData(Data):
    """Files on disk. With `n`, a random choice keyed by (seed, id), in the order of the ids.

    A picture or mask that cannot be read becomes a black image with a fault, so that a run goes on.
    The seed decides only which files are chosen, so it is in the fingerprint through them.
    """

    can_know: ClassVar[frozenset[str]] = frozenset({"labels", "regions", "ignore", "boxes"})

    def __post_init__(self) -> None:
        super().__post_init__()
        for entry in self.entries:
            if entry.mask:
                entry.mask.check(entry.path)

    @abstractmethod
    def listed(self) -> Sequence[Entry]:
        """Every entry there is."""

    def completed(self, chosen: Sequence[Entry]) -> Sequence[Entry]:
        """The chosen entries with what would be slow to find for every entry."""
        return chosen

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The chosen entries."""
        return tuple(self.completed(self._chosen()))

    def _chosen(self) -> list[Entry]:
        found = sorted(self.listed(), key=lambda entry: entry.id)
        if self.n is None:
            return found
        if self.n > len(found):
            raise InvalidValueError(f"n of dataset {self.card.name} must be at most {len(found)}, got {self.n}")
        chosen = sorted(found, key=lambda entry: key(self.seed, "choice", entry.id))[: self.n]
        return sorted(chosen, key=lambda entry: entry.id)

    @property
    def classes(self) -> tuple[str, ...]:
        return ()

    @cached_property
    def knows(self) -> frozenset[str]:
        masked = any(entry.mask for entry in self.entries)
        boxed = any(entry.boxes for entry in self.entries)
        labelled = any(entry.label is not None for entry in self.entries)
        ignoring = masked or any(entry.ignored for entry in self.entries)
        facts = {"labels": labelled, "regions": masked or boxed, "ignore": ignoring, "boxes": boxed}
        return frozenset(name for name, known in facts.items() if known)

    @cached_property
    def fingerprint(self) -> str:
        provenance = (entry.provenance() for entry in self.entries)
        return digest(self.card.name, self.card.version, self.preprocessing, self.classes, *provenance)

    def __len__(self) -> int:
        return len(self.entries)

    def id(self, index: int) -> str:
        return self.entries[index].id

    def sample(self, index: int) -> Sample:
        entry = self.entries[index]
        try:
            return self._read(entry)
        except DataError as error:
            return self._black(entry, str(error))

    def _read(self, entry: Entry) -> Sample:
        picture = read_picture(entry.path)
        original = entry.original or (picture.height, picture.width)
        geometry = self.preprocessing.geometry(original)
        region, ignore = _masks(entry, geometry)
        image = geometry.picture(picture)
        return Sample(image, entry.id, original, entry.label, region, ignore=ignore, boxes=entry.boxes)

    def _black(self, entry: Entry, fault: str) -> Sample:
        size = self.preprocessing.size
        original = entry.original or size_of(entry.path) or size
        return Sample(torch.zeros(3, *size), entry.id, original, entry.label, boxes=entry.boxes, fault=fault)


def existing_folder(path: Path) -> Path:
    """The folder; DataError with the nearest sibling where there is none."""
    if path.is_dir():
        return path
    parent = path.absolute().parent
    if path.exists() or not parent.is_dir():
        raise DataError(f"no folder {str(path)!r}" + (": it is a file" if path.exists() else ""))
    siblings = [item.name for item in parent.iterdir() if item.is_dir()]
    raise DataError(str(UnknownNameError.of(f"folder in {str(parent)!r}:", path.name, siblings)))


def positional(labels: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    """Class names placed at their labels; a label without a name is called by its number."""
    named = {label: name for name, label in labels}
    return tuple(named.get(label, str(label)) for label in range(max(named, default=-1) + 1))


def check_labels(labels: Collection[int]) -> None:
    """DataError where a label is no sensible number of a class."""
    if labels and not 0 <= min(labels) <= max(labels) < _MOST_CLASSES:
        raise DataError(f"labels must be in [0, {_MOST_CLASSES}), got {min(labels)} to {max(labels)}")


def _masks(entry: Entry, geometry: Geometry) -> tuple[Bool[Tensor, "H W"] | None, Bool[Tensor, "H W"] | None]:
    """Region and ignored pixels; boxes stand in for a mask."""
    if entry.mask:
        inside, ignore = entry.mask.read()
        check_sizes(f"of {entry.id}", inside.shape, entry.path.name, geometry.original)
        return geometry.mask(inside), geometry.mask(ignore)
    region = geometry.filled(entry.boxes)
    around = geometry.filled(entry.ignored) & ~region
    return region if entry.boxes else None, around if entry.ignored else None
