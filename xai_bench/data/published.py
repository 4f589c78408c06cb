"""Data sets that others have published, in the folders they published them in."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path
from tarfile import TarError
from typing import Any, Literal, NamedTuple

from xai_bench.data.files import Entry, FileData, check_labels, existing_folder, positional
from xai_bench.errors import DataError, InvalidValueError, UnknownNameError

Regions = Literal["mask", "boxes"]
# What reading an annotation file of another layout raises, and what torchvision does.
LAYOUT_ERRORS = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError)


class Listing(NamedTuple):
    """What a folder holds."""

    names: tuple[str, ...]  # of the classes, in the order of the labels
    entries: Sequence[Entry]  # all with a label


@dataclass(frozen=True, kw_only=True, eq=False)
class Published(FileData):
    """A data set in the folder layout of its authors, or of torchvision where that has one; docs/data.md shows them.

    Labels are positions in the published `classes`. With `class_index` they are what it says of each class, and
    images of the classes it does not name are left out, so that a model of other classes can be asked.
    Batches carry what `regions` asks for: masks, or boxes, which are then filled in. Never both, so that every metric
    means the same object.
    """

    path: str | Path = ""  # the folder that holds the published folder
    class_index: Mapping[str, int] | None = None  # class -> label
    names: tuple[str, ...] = field(init=False, repr=False, default=())  # of the published classes

    @abstractmethod
    def published(self) -> Listing:
        """Everything there is, with the published labels."""

    @property
    def name(self) -> str:
        return f"{self.card.name}/{self.split}"

    @property
    def root(self) -> Path:
        """The folder as a path."""
        return Path(self.path).expanduser()

    @property
    def classes(self) -> tuple[str, ...]:
        return self.names if self.class_index is None else positional(self.class_index.items())

    def listed(self) -> Sequence[Entry]:
        if not str(self.path):
            raise InvalidValueError(f"dataset {self.card.name} needs a path, got none")
        names, entries = self.published()
        object.__setattr__(self, "names", names)  # kept without the entries, of which few may be chosen
        found = entries if self.class_index is None else list(self._relabelled(entries, self.class_index))
        if not found:
            raise DataError(f"no images of dataset {self.name} in {str(self.path)!r}")
        return found

    def _relabelled(self, entries: Sequence[Entry], index: Mapping[str, int]) -> Iterator[Entry]:
        for name in index:
            if name not in self.names:
                raise UnknownNameError.of(f"class of dataset {self.card.name}", name, self.names)
        check_labels(index.values())
        for entry in entries:
            assert entry.label is not None
            if self.names[entry.label] in index:
                yield replace(entry, label=index[self.names[entry.label]])

    def folder(self, *parts: str) -> Path:
        """A folder below `path`; DataError with the nearest sibling where there is none."""
        found = existing_folder(self.root)
        for part in parts:
            found = existing_folder(found / part)
        return found

    def from_torchvision(self, make: Callable[[Any], Any], *, download: bool = False) -> Any:
        """What `make` makes of torchvision.datasets; DataError where the folder is not as it should be."""
        from torchvision import datasets  # noqa: PLC0415 - a second that only those who ask should wait

        if not download:
            existing_folder(self.root)
        try:
            return make(datasets)
        except (*LAYOUT_ERRORS, TarError, HTTPException) as error:
            done, reason = "download or read" if download else "read", " ".join(str(error).split())
            raise DataError(
                f"cannot {done} dataset {self.name} in {str(self.path)!r}: {type(error).__name__}: {reason}"
            ) from error
