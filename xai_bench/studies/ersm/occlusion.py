"""Structured occlusion of the image (ours): a square or cells of a grid, placed by chance or by the object."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from xai_bench.adapters import VisionModel
from xai_bench.removal import REMOVALS, PixelRemoval
from xai_bench.seeding import Noise
from xai_bench.studies.ersm.settings import FILLS, ErsmSettings
from xai_bench.types import Batch, Images, Keep, Regions

Placement = Literal["random", "object", "background"]
PLACEMENTS: tuple[Placement, ...] = ("random", "object", "background")


@dataclass(frozen=True)
class Square:
    """One square that covers a share of the image: anywhere, where it covers most of the object, or least of it."""

    share: float  # of the image's area
    placement: Placement
    kind = "square"

    def keep(self, size: tuple[int, int], regions: Regions | None, noise: Noise) -> Keep:
        """1 where the image stays visible."""
        height, width = size
        side = min(round((self.share * height * width) ** 0.5), height, width)
        rows, columns = height - side + 1, width - side + 1
        lots = noise.uniform(rows * columns)  # a random place is the one with the highest lot
        place = _ranked(_on_object(regions, side), self.placement, lots).argmax(1)
        keep = torch.ones(len(noise.ids), height, width)
        for image, (row, column) in enumerate(
            zip((place // columns).tolist(), (place % columns).tolist(), strict=True)
        ):
            keep[image, row : row + side, column : column + side] = 0
        return keep


@dataclass(frozen=True)
class Grid:
    """A share of a grid's cells: any, those that cover most of the object first, or those that cover least of it.

    The cells of a larger share hold those of a smaller one.
    """

    share: float  # of the cells
    placement: Placement
    cell: int  # pixels
    kind = "grid"

    def keep(self, size: tuple[int, int], regions: Regions | None, noise: Noise) -> Keep:
        """1 where the image stays visible; cells at the lower and right border may be cut off."""
        height, width = size
        rows, columns = -(-height // self.cell), -(-width // self.cell)
        count = rows * columns
        lots = noise.uniform(count)
        worth = _ranked(_per_cell(regions, self.cell), self.placement, lots)
        hidden = worth.argsort(1, descending=True)[:, : int(self.share * count + 0.5)]
        keep = torch.ones(len(noise.ids), count).scatter_(1, hidden, 0).view(-1, 1, rows, columns)
        return functional.interpolate(keep, scale_factor=float(self.cell), mode="nearest")[:, 0, :height, :width]


Shape = Square | Grid


def shapes(settings: ErsmSettings, *, regions: bool) -> Iterator[Shape]:
    """Every occlusion of the study; those that look for the object only where masks say where it is."""
    for placement in PLACEMENTS if regions else PLACEMENTS[:1]:
        yield from (Square(share, placement) for share in settings.areas)
        yield from (Grid(share, placement, settings.cell) for share in settings.fractions)


class Blank(NamedTuple):
    """What stands in the place of hidden pixels."""

    removal: PixelRemoval
    state: Tensor

    def alter(self, images: Images, keep: Keep) -> Images:
        """The images, before normalisation, with what is not kept filled."""
        return self.removal.alter(images, keep, self.state)


def prepared(model: VisionModel, batch: Batch, fills: Sequence[str]) -> dict[str, Blank]:
    """Every fill, once for these images; none of them draws."""
    noise = Noise(0, "occlusion", batch.ids)
    removals = {name: cast("PixelRemoval", REMOVALS.build(FILLS[name])) for name in fills}
    return {name: Blank(removal, removal.prepare(model, batch.images, noise)) for name, removal in removals.items()}


def _ranked(on_object: Float[Tensor, "B n"] | None, placement: Placement, lots: Float[Tensor, "B n"]) -> Tensor:
    """The place of highest worth is taken; whole numbers of pixels decide, lots in [0, 1) break ties."""
    if placement == "random" or on_object is None:
        return lots
    return (on_object if placement == "object" else -on_object).double() + lots


def _on_object(regions: Regions | None, side: int) -> Float[Tensor, "B n"] | None:
    """Pixels of the object under a square at each place, row by row."""
    if regions is None:
        return None
    sums = functional.avg_pool2d(regions[:, None].double(), side, stride=1, divisor_override=1)
    return sums.flatten(1).round()


def _per_cell(regions: Regions | None, cell: int) -> Float[Tensor, "B n"] | None:
    """Pixels of the object in each cell, row by row."""
    if regions is None:
        return None
    height, width = regions.shape[1:]
    padded = functional.pad(regions[:, None].double(), (0, -width % cell, 0, -height % cell))
    return functional.avg_pool2d(padded, cell, divisor_override=1).flatten(1).round()
