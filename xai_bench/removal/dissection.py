"""How the pixels of an image are eliminated block by block, which depends on its size alone.

The image is folded along its two middle lines into four quarters, so that the pixels on its border have the same
places in all of them; each quarter is cut into equal blocks, and blocks share the pixels on the lines between them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

SIDE, CORNER = 1 / 6, 1 / 12  # weights of the 4 neighbours at a side and of the 4 at a corner, before renormalising
LEAF = 8  # steps from pixel to pixel along the side of a block, at most

Size = tuple[int, int]  # height and width


@dataclass(frozen=True)
class Merge:
    """How the blocks of a level become half as many, each with its right neighbour in the order of blocks."""

    front: int  # pixels of both blocks, those first that no other block has
    places: Tensor  # (2 n,) where the pixels of both that are left lie in the front
    entries: Tensor  # (2 n n,) where their matrices lie in the front's

    @classmethod
    def of(cls, first: Tensor, second: Tensor) -> "Merge":
        """From where the pixels of each block (n,) lie in the front."""
        places = torch.stack([first, second])
        front = int(places.max()) + 1
        return cls(front, places.flatten(), (places[:, :, None] * front + places[:, None]).flatten())

    def to(self, device: torch.device) -> "Merge":
        """The same on another device."""
        return Merge(self.front, self.places.to(device), self.entries.to(device))


@dataclass(frozen=True)
class Plan:
    """The elimination of all images of one size."""

    pixels: Tensor  # (G, p) the pixel at each place of each block, those first that no other block has; H W beyond
    owners: Tensor  # (H W,) one of the places of each pixel
    shares: Tensor  # (H W,) how many places each pixel has
    weights: Tensor  # (G, p, p) between the pixels of a block; neighbours in several blocks share theirs
    counts: tuple[int, ...]  # how many pixels are eliminated before each merge and after the last
    merges: tuple[Merge, ...]


@lru_cache(maxsize=4)
@torch.inference_mode(mode=False)  # remembered, and of use outside it too
def plan_for(size: Size, dtype: torch.dtype, device: torch.device) -> Plan:
    """The plan for images of this height and width."""
    grid, leaf = _grid(size)
    axes = list(_axes(leaf, grid))
    places = _places(leaf, grid, axes)
    quarter = torch.tensor([leaf[0] * grid[0], leaf[1] * grid[1]])
    signs = torch.cartesian_prod(torch.tensor([-1, 1]), torch.tensor([-1, 1]))
    centre = torch.tensor(size) // 2
    points = (centre + signs[:, None, None] * places).flatten(0, 1)  # (G, p, 2)
    inside = ((points >= 0) & (points < torch.tensor(size))).all(2)
    total = size[0] * size[1]
    pixels = torch.where(inside, points[..., 0] * size[1] + points[..., 1], total)
    owners = torch.zeros(total + 1, dtype=torch.int64)
    owners[pixels.flatten()] = torch.arange(pixels.numel())
    shares = pixels.flatten().bincount(minlength=total + 1)
    weights = _weights(places, torch.tensor(leaf), quarter).repeat(4, 1, 1)
    weights *= inside[:, :, None] * inside[:, None]
    counts, merges = _merges(leaf, grid, axes)
    return Plan(
        *(pixels.to(device), owners[:total].to(device), shares[:total].to(device, dtype), weights.to(device, dtype)),
        *(counts, tuple(merge.to(device) for merge in merges)),
    )


def _grid(size: Size) -> tuple[Size, Size]:
    """Blocks of a quarter in each direction, a power of two, and the steps along the sides of a block."""
    steps = [max(1, side // 2) for side in size]  # the middle line is at side // 2, with no more steps behind it
    rows, columns = (1 << max(0, math.ceil(math.log2(count / LEAF))) for count in steps)
    return (rows, columns), (math.ceil(steps[0] / rows), math.ceil(steps[1] / columns))


def _axes(block: Size, grid: Size) -> Iterator[int]:
    """Along which axis blocks are merged, level by level: their shorter side, so that what is between stays short."""
    while grid != (1, 1):
        axis = 0 if grid[1] == 1 or (grid[0] > 1 and block[0] <= block[1]) else 1
        yield axis
        block, grid = _doubled(block, axis), (grid[0] >> (axis == 0), grid[1] >> (axis == 1))


def _doubled(block: Size, axis: int) -> Size:
    return block[0] << (axis == 0), block[1] << (axis == 1)


def _places(leaf: Size, grid: Size, axes: Sequence[int]) -> Tensor:
    """Steps from the centre of each block's pixels, (G / 4, p, 2), in the order in which they are eliminated."""
    outer = _outer(leaf, last=not axes)
    pixels = torch.cat([(~outer).nonzero(), outer.nonzero()])
    block = [*torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")]
    corners = torch.stack(block, -1).flatten(0, 1) * torch.tensor(leaf)
    key = torch.zeros(grid, dtype=torch.int64)
    for bit, axis in enumerate(axes):  # blocks that are merged lie side by side
        key += (block[axis] & 1) << bit
        block[axis] = block[axis] >> 1
    return corners[key.flatten().argsort()][:, None] + pixels


def _outer(block: Size, *, last: bool) -> Tensor:
    """Which pixels of a block others have too, (h + 1, w + 1); of the last block of a quarter, its middle lines'."""
    outer = torch.ones(block[0] + 1, block[1] + 1, dtype=torch.bool)
    outer[1:, 1:] = False
    if not last:
        outer[-1] = outer[:, -1] = True
    return outer


def _weights(places: Tensor, leaf: Tensor, quarter: Tensor) -> Tensor:
    """Weights between the pixels of each block of a quarter, (G / 4, p, p); halved between two that two blocks have."""
    apart = (places[:1, :, None] - places[:1, None]).abs()  # (1, p, p, 2), the same in all blocks
    weights = torch.tensor([0, SIDE, CORNER], dtype=torch.float64)[apart.sum(3).clamp(max=2)] * (apart.amax(3) == 1)
    between = (places % leaf == 0) & (places < quarter)
    return weights / (1 + (between[:, :, None] & (apart == 0)).any(3).double())


def _merges(block: Size, grid: Size, axes: Sequence[int]) -> tuple[tuple[int, ...], list[Merge]]:
    """How many pixels are eliminated before each merge and after the last, and the merges."""
    outer = _outer(block, last=not axes)
    counts, merges = [int((~outer).sum())], list[Merge]()
    for level, axis in enumerate(axes, 1):
        half, part, block = block[axis], outer, _doubled(block, axis)
        outer = _outer(block, last=level == len(axes))
        both = torch.zeros(outer.shape, dtype=torch.int64)
        for start in (0, half):
            both.narrow(axis, start, half + 1)[part] = 1
        inner = both.bool() & ~outer
        counts.append(int(inner.sum()))
        both[inner], both[outer] = torch.arange(counts[-1]), counts[-1] + torch.arange(int(outer.sum()))
        merges.append(Merge.of(*(both.narrow(axis, start, half + 1)[part] for start in (0, half))))
    line, *halves = _unfolded(block)
    return (*counts, block[0], len(line)), [*merges, Merge.of(*halves), Merge.of(line, line)]


def _unfolded(quarter: Size) -> tuple[Tensor, Tensor, Tensor]:
    """Places of the horizontal middle line once the vertical one is gone, and where two quarters' lines lie before.

    A quarter's lines are the centre, the horizontal one from there, the vertical one from there; the vertical one is
    that of both quarters and is eliminated first.
    """
    down, across = quarter
    vertical, centre, left = torch.arange(down), torch.tensor([down]), down + 1 + torch.arange(across)
    halves = (torch.cat([centre, left, vertical]), torch.cat([centre, left + across, vertical]))
    return torch.arange(2 * across + 1), *halves
