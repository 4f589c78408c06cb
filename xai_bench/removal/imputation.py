"""Removed pixels become weighted means of their neighbours: one linear system per image, solved without iterating.

By nested dissection (George 1973) on the plan of `dissection`: the pixels inside of small blocks are eliminated, then
those between two blocks, until one block is left. All blocks of a level, of all images, are one batch for torch.linalg
on the images' device. There is no stop rule, so that no image's answer depends on others of its batch, and a large
hole costs what many small ones do.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from xai_bench.removal.dissection import CORNER, SIDE, Plan, plan_for

PASSES = 2  # the second works on what the first left over, which in float32 can be 1e-3 of the contrast
AT_ONCE = {"cpu": 1, "cuda": 64}  # images whose factors are held at a time: on a CPU they should stay in its cache
DIRECTIONS = (((0, 1), SIDE), ((1, 0), SIDE), ((1, 1), CORNER), ((1, -1), CORNER))  # each pair of neighbours once


def impute(images: Tensor, keep: Tensor) -> Tensor:
    """Images (B, C, H, W) of which kept pixels (B, H, W) stay and each other is the weighted mean of its neighbours.

    Neighbours outside the image are dropped and the other weights renormalised. An image of which nothing is kept has
    no solution and comes back as it is. Computed in the images' precision, float32 or float64, whatever autocast says.
    """
    count = AT_ONCE.get(images.device.type, 1)
    with torch.autocast(images.device.type, enabled=False), torch.no_grad():
        parts = zip(images.split(count), keep.split(count), strict=True)
        return torch.cat([_impute(part, kept > 0) for part, kept in parts])


def _impute(images: Tensor, kept: Tensor) -> Tensor:
    unknown = (~kept & kept.any(2).any(1)[:, None, None])[:, None]
    system = factored(unknown, images.dtype)
    mean = (images * kept[:, None]).sum((2, 3), keepdim=True) / kept.sum((1, 2)).clamp(min=1).view(-1, 1, 1, 1)
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
                right = _added(right.unflatten(1, (-1, 2)).flatten(2, 3), merge.places, merge.front)
        solved = right  # of no pixel: the last front is eliminated whole
        for step, (lower, coupling), merge in zip(
            steps[::-1], self.factors[::-1], (*self.plan.merges[::-1], None), strict=True
        ):
            inner = torch.linalg.solve_triangular(lower.mT, step - coupling @ solved, upper=True)
            solved = torch.cat([inner, solved], 2)
            if merge:
                solved = solved.index_select(2, merge.places).unflatten(2, (2, -1)).flatten(1, 2)
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
            whole = _added(rest.unflatten(1, (-1, 2)).flatten(2), merge.entries, merge.front**2)
            front = whole.unflatten(2, (merge.front, merge.front))
    return System(plan, tuple(factors))


def _blocks(values: Tensor, plan: Plan) -> Tensor:
    """The image (B, C, H, W), and zero beyond it, as blocks (B, G, p, C)."""
    padded = functional.pad(values.flatten(2), (0, 1)).mT
    return padded.index_select(1, plan.pixels.flatten()).unflatten(1, plan.pixels.shape)


def _added(parts: Tensor, places: Tensor, size: int) -> Tensor:
    """Parts (B, G, n, ...) added up at their places of (B, G, size, ...)."""
    lines = parts.flatten(0, 1)
    empty = parts.new_zeros(len(lines), size, *parts.shape[3:])
    return empty.index_add_(1, places, lines).unflatten(0, parts.shape[:2])
