"""Where a sample's object is drawn: what is the object, and which pixels count neither way."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xai_bench.data.image import read_mask, size_of
from xai_bench.digests import file_digest
from xai_bench.errors import DataError

IGNORE = 255
Drawing = tuple[NDArray[np.bool_], NDArray[np.bool_]]  # object and ignored pixels, (H, W) each, of the original


class Mask(ABC):
    """A drawing of the object that is read when its sample is made."""

    @abstractmethod
    def provenance(self) -> tuple[object, ...]:
        """What decides the drawing, wherever its file is."""

    @abstractmethod
    def read(self) -> Drawing:
        """The drawing; DataError where it cannot be read."""

    def check(self, picture: Path) -> None:  # noqa: B027 - most have nothing to say before they are read
        """DataError where a picture's header shows that this is not its mask."""


@dataclass(frozen=True)
class MaskFile(Mask):
    """A picture whose values say what each pixel is.

    Without `values`, every value but 0 is the object, so that 0/1 and 0/255 masks both work; where a mask has the
    value 1 as well as 255, 255 is the border that counts neither way (Pascal VOC).
    """

    path: Path
    values: frozenset[int] | None = None  # the object
    ignored: frozenset[int] = frozenset()  # count neither way; read with `values` only

    def provenance(self) -> tuple[object, ...]:
        more = [sorted(self.ignored)] if self.ignored else []
        return (content(self.path), sorted(self.values or ()), *more)

    def read(self) -> Drawing:
        values = read_mask(self.path)
        if self.values is None:
            ignore = (values == IGNORE) & bool((values == 1).any())
            return (values > 0) & ~ignore, ignore
        return np.isin(values, sorted(self.values)), np.isin(values, sorted(self.ignored))

    def check(self, picture: Path) -> None:
        """A picture or mask that cannot be read is left to be a fault of its sample."""
        size, own = size_of(picture), size_of(self.path)
        if size and own:
            check_sizes(self.path.name, own, picture.name, size)


def check_sizes(mask: str, own: tuple[int, ...], picture: str, size: tuple[int, ...]) -> None:
    """DataError where a mask has another size (H, W) than its picture."""
    if own != size:
        raise DataError(f"mask {mask} is {own[0]} x {own[1]} but its image {picture} is {size[0]} x {size[1]} (H x W)")


def content(path: Path) -> str:
    """A hash of the file's bytes, "" where there is none."""
    return file_digest(path) if path.is_file() else ""
