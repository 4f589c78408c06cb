"""Removed pixels become weighted means of their neighbours: one linear system per image, solved without iterating.

By nested dissection (George 1973) on the plan of `dissection`: the pixels inside of small blocks are eliminated, then
those between two blocks, until one block is left. All blocks of a level, of all images, are one batch for torch.linalg
on the images' device. There is no stop rule, so that no image's answer depends on others of its batch, and a large
hole costs what many small ones do. Few removed pixels cost as much, so on a CPU scipy's sparse solver takes those.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import splu
from torch import Tensor
from torch.nn import functional

from xai_bench.removal.dissection import CORNER, SIDE, Plan, plan_for

PASSES = 2  # the second works on what the first left over, which in float32 can be 1e-3 of the contrast
AT_ONCE = {"cpu": 1, "cuda": 64}  # images whose factors are held at a time: on a CPU they should stay in its cache
FEW = 0.5  # of an image's pixels: up to there the sparse solver is the faster one on a CPU
DIRECTIONS = (((0, 1), SIDE), ((1, 0), SIDE), ((1, 1), CORNER), ((1, -1), CORNER))  # each pair of neighbours once


def impute(images: Tensor, keep: Tensor) -> Tensor:
    """Images (B, C, H, W) of which kept pixels (B, H, W) stay and each other is the weighted mean of its neighbours.

    Neighbours outside the image are dropped and the other weights renormalised. An image of which nothing is kept has
    no solution and comes back as it is. Computed in the images' precision, float32 or float64, whatever autocast says.
    """
    device, kept, filled = images.device.type, keep > 0, images.clone()
    unknown = ~kept & kept.flatten(1).any(1)[:, None, None]
    few = unknown.float().mean((1, 2)) <= FEW if device == "cpu" else torch.zeros_like(kept[:, 0, 0])
    with torch.autocast(device, enabled=False), torch.no_grad():
        for row in few.nonzero()[:, 0].tolist():
            filled[row, :, unknown[row]] = _sparse(images[row], unknown[row])
        many = (~few).nonzero()[:, 0]
        for rows in torch.split(many, AT_ONCE.get(device, 1)) if len(many) else ():
            filled[rows] = _dissected(images[rows], unknown[rows, None])
    return filled


def _sparse(image: Tensor, unknown: Tensor) -> Tensor:
    """Values of the unknown pixels of one image, (C, N)."""
    removed = unknown.flatten().nonzero()[:, 0].numpy()
    if not len(removed):
        return image[:, unknown]
    rows = _laplacian(*unknown.shape)[removed]
    right = -rows @ image.masked_fill(unknown, 0).flatten(1).double().numpy().T
    system = splu(  # symmetric and positive definite
        rows[:, removed].tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    return torch.from_numpy(system.solve(right).T).to(image.dtype)


@lru_cache(maxsize=4)
def _laplacian(height: int, width: int) -> csr_array:
    """Of the whole image, (H W, H W): its product with the values is the sum over neighbours of w (x_i - x_j)."""
    pixels, total = torch.arange(height * width).view(1, 1, height, width), height * width
    pairs = [[part.flatten().numpy() for part in _neighbours(pixels, *direction)] for direction, _ in DIRECTIONS]
    weights = np.repeat([weight for _, weight in DIRECTIONS], [len(here) for here, _ in pairs])
    here, there = (np.concatenate(part) for part in zip(*pairs, strict=True))
    half = coo_array((weights, (here, there)), shape=(total, total))
    near = (half + half.T).tocsr()
    return csr_array(diags_array(near.sum(1)) - near)


def _dissected(images: Tensor, unknown: Tensor) -> Tensor:
    """The images filled, of which some pixels (B, 1, H, W) are unknown."""
    system = factored(unknown, images.dtype)
    known = images.masked_fill(unknown, 0)
    mean = known.sum((2, 3), keepdim=True) / (~unknown).sum((2, 3), keepdim=True)
    filled = torch.where(unknown, mean, images)
    for _ in range(PASSES):
        filled = filled + system.solve(_pull(filled) * unknown)
    return filled


def _pull(values: Tensor) -> Tensor:
    """Weighted sum of the differences to all neighbours, (B, C, H, W); differences keep the digits of a flat area."""
    pull = torch.zeros_like(values)
    for (down, right), weight in DIRECTIONS:
        here, there = _neighbours(values, down, right)
        push = weight * (there - here)
        here, there = _neighbours(pull, down, right)
        here.add_(push)
        there.sub_(push)
    return pull


def _neighbours(values: Tensor, down: int, right: int) -> tuple[Tensor, Tensor]:
    """Views of all pixels with a neighbour in this direction, and of those neighbours."""
    height, width = values.shape[2:]
    first, last = max(-right, 0), width - max(right, 0)
    return values[:, :, : height - down, first:last], values[:, :, down:, first + right : last + right]


@dataclass(frozen=True)
class System:
    """A factored system, ready for any right-hand side."""

    plan: Plan
    factors: tuple[tuple[Tensor, Tensor], ...]  # per level: L of what is eliminated, and L^-1 times its coupling

    def solve(self, values: Tensor) -> Tensor:
        """The solution for right-hand sides (B, C, H, W), which are zero where the pixel is known."""
        steps, right = list[Tensor](), _blocks(values / self.plan.shares.view(values.shape[2:]), self.plan)
        for (lower, coupling), merge in zip(self.factors, (*self.plan.merges, None), strict=True):
            count = lower.shape[-1]
            steps.append(torch.linalg.solve_triangular(lower, right[..., :count, :], upper=False))
            right = right[..., count:, :] - coupling.mT @ steps[-1]
            if merge:
                right = _added(_paired(right), merge.places, merge.front)
        solved = right  # of no pixel: the last front is eliminated whole
        for step, (lower, coupling), merge in zip(
            steps[::-1], self.factors[::-1], (*self.plan.merges[::-1], None), strict=True
        ):
            inner = torch.linalg.solve_triangular(lower.mT, step - coupling @ solved, upper=True)
            solved = torch.cat([inner, solved], 2)
            if merge:
                solved = _parted(solved.index_select(2, merge.places))
        return solved.flatten(1, 2).index_select(1, self.plan.owners).mT.view_as(values)


def factored(unknown: Tensor, dtype: torch.dtype) -> System:
    """All pixels eliminated, of which those that are not unknown (B, 1, H, W) are equal to 0."""
    plan = plan_for((unknown.shape[2], unknown.shape[3]), dtype, unknown.device)
    free = _blocks(unknown.to(dtype), plan)  # (B, G, p, 1)
    front = (plan.weights * free).mul_(-free.mT)
    front.diagonal(dim1=-2, dim2=-1).copy_((plan.weights.sum(-1, keepdim=True) * free + 1 - free)[..., 0])
    factors = list[tuple[Tensor, Tensor]]()
    for count, merge in zip(plan.counts, (*plan.merges, None), strict=True):
        lower = torch.linalg.cholesky_ex(front[..., :count, :count]).L
        coupling = torch.linalg.solve_triangular(lower, front[..., :count, count:], upper=False)
        factors.append((lower, coupling))
        if merge:
            rest = front[..., count:, count:] - coupling.mT @ coupling
            whole = _added(_paired(rest).flatten(2), merge.entries, merge.front**2)
            front = whole.view(*whole.shape[:2], merge.front, merge.front)
    return System(plan, tuple(factors))


def _blocks(values: Tensor, plan: Plan) -> Tensor:
    """The image (B, C, H, W), and zero beyond it, as blocks (B, G, p, C)."""
    padded = functional.pad(values.flatten(2), (0, 1)).mT
    return padded.index_select(1, plan.pixels.flatten()).view(len(values), *plan.pixels.shape, values.shape[1])


def _paired(blocks: Tensor) -> Tensor:
    """Blocks (B, G, n, C) with the rows of those that are merged one after the other, (B, G / 2, 2 n, C)."""
    return blocks.reshape(len(blocks), blocks.shape[1] // 2, 2 * blocks.shape[2], blocks.shape[3])


def _parted(pairs: Tensor) -> Tensor:
    return pairs.reshape(len(pairs), 2 * pairs.shape[1], pairs.shape[2] // 2, pairs.shape[3])


def _added(parts: Tensor, places: Tensor, size: int) -> Tensor:
    """Parts (B, G, n, ...) added up at their places of (B, G, size, ...)."""
    lines = parts.flatten(0, 1)
    added = lines.new_zeros(len(lines), size, *lines.shape[2:]).index_add_(1, places, lines)
    return added.view(*parts.shape[:2], *added.shape[1:])
