"""From maps to an order of removal: once per map, whatever curve is asked for."""

from typing import Literal

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from torch.nn import functional as F

from xai_bench.seeding import Noise
from xai_bench.types import Maps

Ties = Literal["random", "first", "last"]
Order = Literal["morf", "lerf", "random"]  # most relevant first, least relevant first, without looking at the map
Ranks = Int64[Tensor, "B h w"]  # 0 = most relevant


def ranks(maps: Maps, ties: Ties, noise: Noise) -> Ranks:
    """Rank of each unit by relevance, 0 = most relevant.

    Equal values are ordered at random per sample (`random`), or by position: `first` in row-major order comes first,
    or `last` does (what numpy's reversed argsort gives, as RISE's code).
    """
    flat = maps.flatten(1)
    match ties:
        case "random":
            first = noise.permutations(flat.shape[1]).to(maps.device)
        case "first":
            first = torch.arange(flat.shape[1], device=maps.device).expand_as(flat)
        case "last":
            first = torch.arange(flat.shape[1] - 1, -1, -1, device=maps.device).expand_as(flat)
    order = first.gather(1, flat.gather(1, first).argsort(dim=1, descending=True, stable=True))
    return order.argsort(dim=1).view_as(maps)


def cells(maps: Maps, patch: int) -> Float32[Tensor, "B h w"]:
    """Mean relevance of each patch x patch cell; cells at the right and lower edge may be smaller."""
    if patch == 1:
        return maps
    return F.avg_pool2d(maps[:, None], patch, ceil_mode=True, count_include_pad=False)[:, 0]


def visible(
    ranked: Ranks, removed: Int64[Tensor, " B"], order: Order, patch: int, size: tuple[int, int]
) -> Bool[Tensor, "B H W"]:
    """Which pixels remain when the first `removed` units of the order are gone."""
    total = ranked[0].numel()
    keep = ranked < total - removed[:, None, None] if order == "lerf" else ranked >= removed[:, None, None]
    if patch > 1:
        keep = keep.repeat_interleave(patch, 1).repeat_interleave(patch, 2)[:, : size[0], : size[1]]
    return keep


def counts(steps: int, total: int) -> list[int]:
    """How many of `total` units are removed at each of steps + 1 equal fractions: floor(f P + 1/2)."""
    return [(2 * step * total + steps) // (2 * steps) for step in range(steps + 1)]


def unrankable(maps: Maps) -> tuple[str, ...]:
    """Why each map orders nothing, "" where it does."""
    flat = maps.flatten(1)
    finite = flat.isfinite().all(1).tolist()
    constant = (flat.amax(1) == flat.amin(1)).tolist()
    return tuple(
        "map is not finite" if not good else "map is constant" if flat_map else ""
        for good, flat_map in zip(finite, constant, strict=True)
    )
