"""Removed pixels become weighted means of their neighbours: one linear system per image, solved directly.

Nested dissection with dense blocks (George 1973): the image is cut into small squares, the pixels inside each are
eliminated, and two neighbouring blocks at a time become one whose common seam is eliminated, until one block is left.
All blocks of a size, of all images, are one batch for torch.linalg, wherever the images are. There is no stop rule, so
an image's answer does not depend on the others in its batch, and a large hole costs what many small ones do.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

SIDE, CORNER = 1 / 6, 1 / 12  # weights of the 4 neighbours at a side and of the 4 at a corner, before renormalising
LEAF = 8  # pixels: blocks of at most this side are eliminated at once
PASSES = 2  # the second works on what the first left over, which in float32 can be 1e-3 in a large hole
AT_ONCE = {"cpu": 4, "cuda": 64}  # images whose factors are held at a time, each of 224 x 224 about 40 MB in float32
DIRECTIONS = (((0, 1), SIDE), ((1, 0), SIDE), ((1, 1), CORNER), ((1, -1), CORNER))  # each pair of neighbours once

Size = tuple[int, int]  # height and width


def impute(images: Tensor, keep: Tensor) -> Tensor:
    """Images (B, C, H, W) of which kept pixels (B, H, W) stay and each other is the weighted mean of its neighbours.

    Neighbours outside the image are dropped and the other weights renormalised. An image of which nothing is kept has
    no solution and comes back as it is. Computed in the images' precision, float32 or float64, whatever autocast says.
    """
    filled = torch.empty_like(images)
    with torch.autocast(images.device.type, enabled=False), torch.no_grad():
        count = AT_ONCE.get(images.device.type, 1)
        for part, kept, out in zip(images.split(count), keep.split(count), filled.split(count), strict=True):
            out.copy_(_impute(part, kept > 0))
    return filled


def _impute(images: Tensor, kept: Tensor) -> Tensor:
    unknown = ~kept & kept.any((1, 2), keepdim=True)
    system = _factor(unknown, images.dtype)
    filled = images.masked_fill(unknown[:, None], 0)
    for _ in range(PASSES):
        filled = filled + system.solve(_pull(filled) * unknown[:, None])
    return filled


def _pull(values: Tensor) -> Tensor:
    """Weighted sum of the differences to all neighbours, (B, C, H, W); differences keep the digits of a flat area."""
    pull = torch.zeros_like(values)
    for (down, right), weight in DIRECTIONS:
        here, there = _pairs(values, down, right)
        push = weight * (there - here)
        here, there = _pairs(pull, down, right)
        here.add_(push)
        there.sub_(push)
    return pull


def _pairs(values: Tensor, down: int, right: int) -> tuple[Tensor, Tensor]:
    """Views of all pixels with a neighbour in this direction, and of those neighbours."""
    height, width = values.shape[2:]
    left, shift = max(-right, 0), max(right, 0)
    here = values[:, :, : height - down, left : width - shift]
    there = values[:, :, down:, left + right : width - shift + right]
    return here, there


@dataclass(frozen=True)
class _Merge:
    """How two neighbouring blocks become one."""

    front: int  # pixels of both blocks: those of the seam, then those of the new block's ring
    places: Tensor  # (2 n,) where the rings of both blocks lie in the front
    entries: Tensor  # (2 n n,) where their matrices lie in the front's


@dataclass(frozen=True)
class _Plan:
    """All of the elimination that depends on the images' size alone; blocks lie so that those to be merged are next."""

    leaf: Size  # of a block, in steps from pixel to pixel: a block has the pixels on all its borders
    grid: Size  # blocks
    order: Tensor  # (p,) pixels of a block in row-major order: those inside, then its ring
    blocks: Tensor  # (G,) blocks in row-major order
    weights: Tensor  # (G, p, p) between pixels of a block; what lies in several blocks is shared by them
    shares: Tensor  # (P, Q) of how many blocks a pixel is a part
    counts: tuple[int, ...]  # how many pixels are eliminated before each merge and after the last
    merges: tuple[_Merge, ...]


@dataclass(frozen=True)
class _System:
    """A factored system, ready for any right-hand side."""

    plan: _Plan
    factors: tuple[tuple[Tensor, Tensor], ...]  # per level: L of what is eliminated, and L^-1 times its coupling

    def solve(self, values: Tensor) -> Tensor:
        """The solution for right-hand sides (B, C, H, W)."""
        steps, right = list[Tensor](), _cut(values, self.plan)
        for (lower, coupling), merge in zip(self.factors, (*self.plan.merges, None), strict=True):
            count = lower.shape[-1]
            steps.append(torch.linalg.solve_triangular(lower, right[..., :count, :], upper=False))
            right = right[..., count:, :] - coupling.mT @ steps[-1]
            if merge:
                right = _added(right.unflatten(1, (-1, 2)).flatten(2, 3), merge.places, merge.front)
        solved = right  # of nothing: the last front is eliminated whole
        for step, (lower, coupling), merge in zip(steps[::-1], self.factors[::-1], (*self.plan.merges[::-1], None)):
            inner = torch.linalg.solve_triangular(lower.mT, step - coupling @ solved, upper=True)
            solved = torch.cat([inner, solved], 2)
            if merge:
                solved = solved.index_select(2, merge.places).unflatten(2, (2, -1)).flatten(1, 2)
        return _joined(solved, self.plan)[:, :, : values.shape[2], : values.shape[3]]


def _factor(unknown: Tensor, dtype: torch.dtype) -> _System:
    """Eliminate all pixels; those that are known are equal to 0."""
    plan = _plan((unknown.shape[1], unknown.shape[2]), dtype, unknown.device)
    free = _blocks(unknown[:, None].to(dtype), plan)  # (B, G, p, 1)
    front = -plan.weights * free * free.mT
    front.diagonal(dim1=-2, dim2=-1).copy_((plan.weights.sum(-1, keepdim=True) * free + 1 - free)[..., 0])
    factors = list[tuple[Tensor, Tensor]]()
    for count, merge in zip(plan.counts, (*plan.merges, None), strict=True):
        lower = torch.linalg.cholesky_ex(front[..., :count, :count]).L
        coupling = torch.linalg.solve_triangular(lower, front[..., :count, count:], upper=False)
        factors.append((lower, coupling))
        if merge:
            rest = front[..., count:, count:] - coupling.mT @ coupling
            whole = _added(rest.unflatten(1, (-1, 2)).flatten(2)[..., None], merge.entries, merge.front**2)
            front = whole.view(*whole.shape[:2], merge.front, merge.front)
    return _System(plan, tuple(factors))


def _added(parts: Tensor, places: Tensor, size: int) -> Tensor:
    """Parts (B, G, n, C) added up at their places of (B, G, size, C)."""
    return parts.new_zeros(*parts.shape[:2], size, parts.shape[3]).index_add_(2, places, parts)


def _blocks(values: Tensor, plan: _Plan) -> Tensor:
    """The image (B, C, H, W), with zeros beyond it, as blocks (B, G, p, C)."""
    (tall, wide), (height, width) = plan.leaf, plan.shares.shape
    padded = functional.pad(values, (0, width - values.shape[3], 0, height - values.shape[2]))
    cut = padded.unfold(2, tall + 1, tall).unfold(3, wide + 1, wide).flatten(4).flatten(2, 3)
    return cut[:, :, plan.blocks][..., plan.order].permute(0, 2, 3, 1)


def _cut(values: Tensor, plan: _Plan) -> Tensor:
    """As blocks, but a pixel of several blocks is spread over them."""
    height, width = values.shape[2:]
    return _blocks(values / plan.shares[:height, :width], plan)


def _joined(solved: Tensor, plan: _Plan) -> Tensor:
    """Blocks (B, G, p, C) as an image (B, C, H, W)."""
    (tall, wide), (rows, columns) = plan.leaf, plan.grid
    values = torch.empty_like(solved)
    values[:, plan.blocks[:, None], plan.order] = solved
    cut = values.view(len(values), rows, columns, tall + 1, wide + 1, -1)[:, :, :, :tall, :wide]
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(len(values), -1, rows * tall, columns * wide)


@lru_cache(maxsize=4)
@torch.inference_mode(mode=False)  # remembered, and of use outside it too
def _plan(size: Size, dtype: torch.dtype, device: torch.device) -> _Plan:
    halvings = [max(0, math.ceil(math.log2(side / LEAF))) for side in size]
    grid = (1 << halvings[0], 1 << halvings[1])
    leaf = (math.ceil(size[0] / grid[0]), math.ceil(size[1] / grid[1]))
    ring, axes = _ring(leaf), list(_axes(leaf, grid))
    inside = int((~ring).sum())
    counts, merges, block = [inside], list[_Merge](), leaf
    for axis in axes:
        merges.append(_merge(block, axis, device))
        block = _doubled(block, axis)
        counts.append(merges[-1].front - int(_ring(block).sum()))
    counts[-1] = merges[-1].front if merges else ring.numel()
    order = (~ring).flatten().argsort(descending=True, stable=True)
    blocks = _siblings(grid, axes)
    weights = _weights(size, leaf, grid)[blocks][:, order[:, None], order]
    shares = torch.outer(*(_shares(steps, count) for steps, count in zip(leaf, grid, strict=True)))
    return _Plan(
        *(leaf, grid, order.to(device), blocks.to(device), weights.to(device, dtype), shares.to(device, dtype)),
        *(tuple(counts), tuple(merges)),
    )


def _axes(block: Size, grid: Size) -> Iterator[int]:
    """Along which axis blocks are merged, one pair after the other: the shorter one, so that seams stay short."""
    while grid != (1, 1):
        axis = 0 if grid[1] == 1 or (grid[0] > 1 and block[0] <= block[1]) else 1
        yield axis
        block = _doubled(block, axis)
        grid = (grid[0] >> (axis == 0), grid[1] >> (axis == 1))


def _doubled(block: Size, axis: int) -> Size:
    return (block[0] << (axis == 0), block[1] << (axis == 1))


def _ring(block: Size) -> Tensor:
    """Which pixels of a block lie on its border, (h + 1, w + 1)."""
    ring = torch.ones(block[0] + 1, block[1] + 1, dtype=torch.bool)
    ring[1:-1, 1:-1] = False
    return ring


def _merge(block: Size, axis: int, device: torch.device) -> _Merge:
    half, outer, part = block[axis], _ring(_doubled(block, axis)), _ring(block)
    seam = ~outer & (torch.arange(2 * half + 1) == half).unsqueeze(1 - axis)
    front = int(seam.sum() + outer.sum())
    places = torch.zeros(outer.shape, dtype=torch.int64)
    places[seam] = torch.arange(int(seam.sum()))
    places[outer] = torch.arange(int(seam.sum()), front)
    both = torch.stack([places.narrow(axis, start, half + 1)[part] for start in (0, half)])
    entries = both[:, :, None] * front + both[:, None]
    return _Merge(front, both.flatten().to(device), entries.flatten().to(device))


def _siblings(grid: Size, axes: Sequence[int]) -> Tensor:
    """Blocks in an order in which each merge finds its pairs side by side, (G,) places in row-major order."""
    places = [*torch.meshgrid(*map(torch.arange, grid), indexing="ij")]
    key = torch.zeros(grid, dtype=torch.int64)
    for bit, axis in enumerate(axes):
        key += (places[axis] & 1) << bit
        places[axis] = places[axis] >> 1
    return key.flatten().argsort()


def _shares(steps: int, count: int) -> Tensor:
    """Of how many blocks each pixel along one axis is a part, (steps * count + 1,)."""
    shares = torch.ones(steps * count + 1)
    shares[steps:-1:steps] = 2
    return shares


def _weights(size: Size, leaf: Size, grid: Size) -> Tensor:
    """Weights between the pixels of each block, (G, p, p); none where one of them lies beyond the image."""
    blocks = torch.cartesian_prod(*map(torch.arange, grid)) * torch.tensor(leaf)
    pixels = torch.cartesian_prod(*(torch.arange(steps + 1) for steps in leaf))
    apart = (pixels[:, None] - pixels).abs()  # (p, p, 2)
    weights = torch.tensor([0, SIDE, CORNER], dtype=torch.float64)[apart.sum(2).clamp(max=2)] * (apart.amax(2) == 1)
    places = blocks[:, None] + pixels  # (G, p, 2)
    inside = (places < torch.tensor(size)).all(2)
    between = (pixels % torch.tensor(leaf) == 0) & (places > 0)  # on a border to another block
    shared = (between[:, :, None] & (apart == 0)).any(3)
    return weights * inside[:, :, None] * inside[:, None] / (1 + shared.double())
