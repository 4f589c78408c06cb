"""What is removed at once: a pixel, a cell of a grid, or a superpixel."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from skimage.segmentation import quickshift, slic
from torch import Tensor
from torch.nn import functional as F

from xai_bench.catalogue import Catalogue, check_values
from xai_bench.errors import InvalidValueError
from xai_bench.types import Card, Images, Maps

Labels = Int64[Tensor, "B H W"]  # which unit each pixel belongs to, 0 ... n - 1
Relevance = Float[Tensor, "B n"]  # of each unit; -inf beyond an image's own number of units


class Partition(ABC):
    """The units of each image of a batch. `counts` (B,) is how many each has; `width` the most that any has."""

    counts: tuple[int, ...]

    @property
    def width(self) -> int:
        """The most units that an image has."""
        return max(self.counts, default=0)

    @abstractmethod
    def relevance(self, maps: Maps) -> Relevance:
        """Mean relevance of each unit."""

    @abstractmethod
    def painted(self, row: int, values: Tensor) -> Tensor:
        """Values of an image's units, (n, width), on its pixels, (n, H, W)."""

    def pixels(self, row: int, chosen: Bool[Tensor, "n m"]) -> Bool[Tensor, "n H W"]:
        """The pixels of an image's chosen units."""
        return self.painted(row, chosen)

    @abstractmethod
    def sums(self, row: int, values: Tensor) -> Tensor:
        """Sums of values (n, H, W) over each unit of an image, (n, width)."""

    @abstractmethod
    def marks(self, marks: Int64[Tensor, "2 H W"]) -> Int64[Tensor, "2 #B n"]:
        """Sum of the pixels' numbers over each unit, modulo 2^64."""


class Grid(Partition):
    """Cells of `side` x `side` pixels; those at the right and lower edge may be smaller."""

    def __init__(self, count: int, size: tuple[int, int], side: int) -> None:
        self.side, self.size = side, size
        self.cells = -(-size[0] // side), -(-size[1] // side)
        self.counts = (self.cells[0] * self.cells[1],) * count

    def relevance(self, maps: Maps) -> Relevance:
        if self.side == 1:
            return maps.flatten(1)
        # sums of float32 in float64 are exact for all but wild maps, so that equal units tie
        return (self._summed(maps.double()) / self._summed(torch.ones_like(maps[:1], dtype=torch.float64))).flatten(1)

    def painted(self, row: int, values: Tensor) -> Tensor:  # noqa: ARG002
        cells, (height, width) = values.view(len(values), *self.cells), self.size
        if self.side == 1:
            return cells
        return cells.repeat_interleave(self.side, 1).repeat_interleave(self.side, 2)[:, :height, :width]

    def sums(self, row: int, values: Tensor) -> Tensor:  # noqa: ARG002
        return self._summed(values).flatten(1)

    def marks(self, marks: Int64[Tensor, "2 H W"]) -> Int64[Tensor, "2 #B n"]:
        return self._summed(marks).flatten(1)[:, None]

    def _summed(self, values: Tensor) -> Tensor:
        (height, width), side = self.size, self.side
        padded = F.pad(values, (0, -width % side, 0, -height % side))
        return padded.view(len(values), self.cells[0], side, self.cells[1], side).sum((2, 4))


class Segments(Partition):
    """Regions of any shape, by the number of each pixel's region."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.counts = tuple((labels.flatten(1).amax(1) + 1).tolist())

    def relevance(self, maps: Maps) -> Relevance:
        places = self.labels.to(maps.device).flatten(1)
        sums = maps.new_zeros(len(maps), self.width, dtype=torch.float64)
        sizes = sums.scatter_add(1, places, torch.ones_like(places, dtype=torch.float64))
        sums.scatter_add_(1, places, maps.flatten(1).double())
        return (sums / sizes).masked_fill(sizes == 0, -torch.inf)

    def painted(self, row: int, values: Tensor) -> Tensor:
        return values[:, self.labels[row].to(values.device)]

    def sums(self, row: int, values: Tensor) -> Tensor:
        places = self.labels[row].to(values.device).flatten().expand(len(values), -1)
        return values.new_zeros(len(values), self.width).scatter_add_(1, places, values.flatten(1))

    def marks(self, marks: Int64[Tensor, "2 H W"]) -> Int64[Tensor, "2 #B n"]:
        places = self.labels.flatten(1).expand(2, -1, -1).to(marks.device)
        empty = marks.new_zeros(2, len(self.labels), self.width)
        return empty.scatter_add_(2, places, marks.flatten(1)[:, None].expand_as(places))


class Unit(ABC):
    """How an image is divided into what is removed at once. A frozen dataclass whose fields are its parameters."""

    card: ClassVar[Card]

    def __post_init__(self) -> None:
        check_values(self)

    @abstractmethod
    def split(self, images: Images) -> Partition:
        """The units of each image."""


@dataclass(frozen=True)
class Pixel(Unit):
    """Each pixel by itself, all colours together."""

    card: ClassVar = Card("pixel", source="standard", summary="each pixel by itself, all colours together")

    def split(self, images: Images) -> Partition:
        return Grid(len(images), _size(images), 1)


@dataclass(frozen=True)
class Patch(Unit):
    """Square cells of a grid that begins at the upper left; those at the right and lower edge may be smaller."""

    card: ClassVar = Card("patch", source="standard", summary="square cells of a grid")

    side: int = 16  # pixels

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.side < 1:
            raise InvalidValueError(f"side of unit patch is a number of pixels of at least 1, got {self.side}")

    def split(self, images: Images) -> Partition:
        return Grid(len(images), _size(images), self.side)


@dataclass(frozen=True)
class Cells(Unit):
    """A grid of `across` x `across` cells whatever the image's size, as even as whole pixels allow.

    A pixel belongs to the cell in which its centre lies, which is nearest-neighbour resizing of a small grid.
    """

    card: ClassVar = Card("cells", source="standard", summary="a grid of as many cells across as down")

    across: int = 9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.across < 1:
            raise InvalidValueError(f"across of unit cells is a number of cells of at least 1, got {self.across}")

    def split(self, images: Images) -> Partition:
        rows, columns = ((2 * torch.arange(side) + 1) * self.across // (2 * side) for side in _size(images))
        return _segments([(rows[:, None] * self.across + columns).numpy()] * len(images))


@dataclass(frozen=True)
class Slic(Unit):
    """Superpixels of scikit-image's SLIC: about `segments` compact regions of one colour, the same at every call.

    Source: Achanta et al. 2012, "SLIC superpixels compared to state-of-the-art superpixel methods".
    """

    card: ClassVar = Card("slic", source="Achanta et al. 2012; scikit-image", summary="superpixels, compact")

    segments: int = 100
    compactness: float = 10.0
    sigma: float = 0.0  # pixels; of the smoothing before

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.segments < 1 or not self.compactness > 0 or not self.sigma >= 0:
            raise InvalidValueError(
                "unit slic needs segments of at least 1, compactness above 0 and sigma of at least 0, got "
                f"segments={self.segments}, compactness={self.compactness:g}, sigma={self.sigma:g}"
            )

    def split(self, images: Images) -> Partition:
        options = {"n_segments": self.segments, "compactness": self.compactness, "sigma": self.sigma}
        return _segments([slic(picture, start_label=0, **options) for picture in _pictures(images)])


@dataclass(frozen=True)
class Quickshift(Unit):
    """Superpixels of scikit-image's quickshift; the defaults are those of the layer-masking paper (section 4).

    Source: Vedaldi & Soatto 2008, "Quick shift and kernel methods for mode seeking".
    """

    card: ClassVar = Card("quickshift", source="Vedaldi & Soatto 2008; scikit-image", summary="superpixels, free-form")

    kernel: float = 4.0  # pixels; width of the Gaussian
    distance: float = 200.0  # above it, pixels are not linked
    ratio: float = 0.2  # colour against nearness, in [0, 1]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kernel >= 1 or not self.distance > 0 or not 0 <= self.ratio <= 1:
            raise InvalidValueError(
                "unit quickshift needs a kernel of at least 1, a distance above 0 and a ratio in [0, 1], got "
                f"kernel={self.kernel:g}, distance={self.distance:g}, ratio={self.ratio:g}"
            )

    def split(self, images: Images) -> Partition:
        options = {"kernel_size": self.kernel, "max_dist": self.distance, "ratio": self.ratio, "rng": 0}
        return _segments([quickshift(picture.astype(np.float64), **options) for picture in _pictures(images)])


UNITS: Catalogue[Unit] = Catalogue("unit", Unit, (Pixel, Patch, Cells, Slic, Quickshift))  # type: ignore[type-abstract]


def _size(images: Images) -> tuple[int, int]:
    return images.shape[2], images.shape[3]


def _pictures(images: Images) -> list[np.ndarray]:
    return list(images.permute(0, 2, 3, 1).cpu().numpy())


def _segments(found: list[np.ndarray]) -> Segments:
    """Numbered 0 ... n - 1 without gaps, whatever the algorithm leaves out."""
    dense = [np.unique(labels, return_inverse=True)[1].reshape(labels.shape) for labels in found]
    return Segments(torch.from_numpy(np.stack(dense).astype(np.int64)))
