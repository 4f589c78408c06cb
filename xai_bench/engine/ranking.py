"""From relevance to an order of removal: once per map, whatever curve is asked for."""

import math
from typing import Literal

import torch
from jaxtyping import Float, Int32, Int64
from torch import Tensor

from xai_bench.types import Maps

Ties = Literal["random", "first", "last"]
Order = Literal["morf", "lerf", "random"]  # most relevant first, least relevant first, without looking at the map
Ranks = Int32[Tensor, "B n"]  # 0 = most relevant
First = Int64[Tensor, "B n"]  # which of equal values comes first: a permutation of the places, per sample


def ranks(relevance: Float[Tensor, "B n"], ties: Ties, lots: First | None = None) -> Ranks:
    """Rank of each unit by relevance, 0 = most relevant; -inf, where an image has fewer units than others, comes last.

    Equal values are ordered by `lots` (`random`), or by position: `first` in row-major order comes first, or `last`
    does (what numpy's reversed argsort gives, as RISE's code).
    """
    match ties:
        case "random":
            assert lots is not None, "random ties need lots"
            order = lots.gather(1, relevance.gather(1, lots).argsort(dim=1, descending=True, stable=True))
        case "first":
            order = relevance.argsort(dim=1, descending=True, stable=True)
        case "last":
            order = relevance.argsort(dim=1, stable=True).flip(1)
    return placed(order)


def placed(order: First) -> Int32[Tensor, "B n"]:
    """Which place each unit has in an order: the inverse permutation."""
    places = torch.arange(order.shape[1], dtype=torch.int32, device=order.device)
    return torch.empty_like(order, dtype=torch.int32).scatter_(1, order, places.expand_as(order))


def counts(steps: int | str | tuple[float | int, ...], total: int) -> list[int]:
    """How many of `total` units are removed at each of steps + 1 equal fractions, or at these: floor(f P + 1/2).

    `10 floor`: floor(f P), as Xplique and openvino_xai count.
    """
    if isinstance(steps, tuple):
        return [math.floor(fraction * total + 0.5) for fraction in steps]
    if isinstance(steps, str):
        number = int(steps.split()[0])
        return [step * total // number for step in range(number + 1)]
    return [(2 * step * total + steps) // (2 * steps) for step in range(steps + 1)]


def stride(steps: object, total: int) -> int:
    """How many of `total` units a step removes where all steps but the last remove the same number; 0 where not.

    `each`: 1; `224 units`: 224; `20 ceil`: ceil(P / 20), as torchcam counts.
    """
    if steps == "each":
        return 1
    number, rule, *_ = *str(steps).split(), ""
    return int(number) if rule == "units" else max(-(-total // int(number)), 1) if rule == "ceil" else 0


def indifferent(relevance: Float[Tensor, "B n"]) -> tuple[bool, ...]:
    """Whether an image has several units, all equally relevant; -inf is beyond its last unit."""
    there = relevance > -torch.inf
    lowest = relevance.masked_fill(~there, torch.inf).amin(1)
    return tuple(((there.sum(1) > 1) & (relevance.amax(1) <= lowest)).tolist())


def unrankable(maps: Maps) -> tuple[str, ...]:
    """Why each map orders nothing, "" where it does."""
    flat = maps.flatten(1)
    finite = flat.isfinite().all(1).tolist()
    constant = (flat.amax(1) == flat.amin(1)).tolist()
    return tuple(
        "map is not finite" if not good else "map is constant" if flat_map else ""
        for good, flat_map in zip(finite, constant, strict=True)
    )
