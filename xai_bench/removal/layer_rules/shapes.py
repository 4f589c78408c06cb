"""Functions that move features about without changing a number: the mask goes along."""

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from xai_bench.removal.layer_rules.positions import together
from xai_bench.removal.partly_visible import POSITIONS, PartlyVisible, Rule, found, one_channel, refuse


def flatten(x: PartlyVisible, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """(B, C * H * W) ordinary features, zero where hidden; or channels among themselves."""
    return _reshaped(x, x.value.flatten(start_dim, end_dim))


def reshape(x: PartlyVisible, *shape: Any) -> Tensor:
    """(ours) Channels are grouped freely; positions that become channels are visible where any of them was."""
    return _reshaped(x, x.value.reshape(*shape))


def unflatten(x: PartlyVisible, dim: int, sizes: Any) -> Tensor:
    """As a reshape."""
    return _reshaped(x, torch.unflatten(x.value, dim, sizes))


def _reshaped(x: PartlyVisible, value: Tensor) -> Tensor:
    old, new = tuple(x.value.shape), tuple(value.shape)
    axes, mask = "", x.mask
    for olds, news in _matched(old, new):
        letters = "".join(x.axes[dim] for dim in olds if old[dim] > 1) or x.axes[olds.start]
        become = _letter(letters, len(news))
        if not become:
            refuse(f"a reshape from {old} to {new}")
        if become == "c" and POSITIONS & set(letters):
            mask = mask.amax(tuple(olds), keepdim=True)
        # A dimension of size 1 beside the one that holds the positions is a channel.
        beside = max(new[dim] for dim in news) > 1
        axes += "".join("c" if beside and new[dim] == 1 else become for dim in news)
    return x.laid(value, mask.reshape(one_channel(new, axes)), axes)


def _letter(letters: str, parts: int) -> str:
    """What a run of dimensions becomes when it is reshaped into so many parts; "" where a mask could not follow."""
    if len(letters) == 1 and (parts == 1 or letters != "b"):
        return letters
    if set(letters) == {"c"} or (parts == 1 and "c" in letters and "b" not in letters):
        return "c"
    return ""


def _matched(old: Sequence[int], new: Sequence[int]) -> Iterator[tuple[range, range]]:
    """Shortest runs of old and new dimensions that hold the same elements."""
    start, begin = 0, 0
    while start < len(old) and begin < len(new):
        stop, end = start + 1, begin + 1
        while prod(old[start:stop]) != prod(new[begin:end]):
            if prod(old[start:stop]) < prod(new[begin:end]):
                stop += 1
            else:
                end += 1
        # What is left over is of size 1.
        stop = len(old) if end == len(new) else stop
        end = len(new) if stop == len(old) else end
        yield range(start, stop), range(begin, end)
        start, begin = stop, end


def permute(x: PartlyVisible, *dims: Any) -> Tensor:
    """The mask goes along."""
    order = [dim % x.value.ndim for dim in (dims[0] if isinstance(dims[0], tuple | list) else dims)]
    if order[0] != 0:
        refuse(f"a permutation of features to dimensions {order}")
    return x.laid(x.value.permute(order), x.mask.permute(order), "".join(x.axes[dim] for dim in order))


def transpose(x: PartlyVisible, first: int, second: int) -> Tensor:
    """As a permutation."""
    order = list(range(x.value.ndim))
    order[first], order[second] = order[second], order[first]
    return permute(x, order)


def unsqueeze(x: PartlyVisible, dim: int) -> Tensor:
    """A channel dimension more."""
    place = dim % (x.value.ndim + 1)
    if not place:
        refuse("features with a dimension before the batch")
    axes = x.axes[:place] + "c" + x.axes[place:]
    return x.laid(x.value.unsqueeze(place), x.mask.unsqueeze(place), axes)


def parts(function: Callable[..., tuple[Tensor, ...]]) -> Rule:
    """(ours) Groups of channels, each under the same mask."""

    def rule(x: PartlyVisible, size: Any, dim: int = 0) -> tuple[PartlyVisible, ...]:
        if x.axes[dim] != "c":
            refuse(f"{function.__name__} along dimension {dim}")
        return tuple(x.like(part) for part in function(x.value, size, dim))

    return rule


def unbind(x: PartlyVisible, dim: int = 0) -> tuple[Tensor, ...]:
    """(ours) Channels one by one, each under the same mask."""
    if x.axes[dim] != "c":
        refuse(f"unbind along dimension {dim}")
    place = dim % x.value.ndim
    axes = x.axes[:place] + x.axes[place + 1 :]
    return tuple(x.laid(part, x.mask.squeeze(place), axes) for part in x.value.unbind(place))


def getitem(x: PartlyVisible, index: Any) -> Tensor:
    """(ours) Some of the channels, under the same mask, or some of the positions, under their part of it."""
    given = list(index) if isinstance(index, tuple) else [index]
    if not all(isinstance(each, slice | int | type(...)) for each in given):
        refuse(f"features indexed by {index}")
    if ... in given:
        place = given.index(...)
        given[place : place + 1] = [slice(None)] * (x.value.ndim - len(given) + 1)
    given += [slice(None)] * (x.value.ndim - len(given))
    axes, mask_index = "", list[Any]()
    for letter, each in zip(x.axes, given, strict=True):
        if (letter == "b" and each != slice(None)) or (isinstance(each, int) and letter != "c"):
            refuse(f"features indexed by {index}")
        axes += "" if isinstance(each, int) else letter
        mask_index.append((0 if isinstance(each, int) else slice(None)) if letter == "c" else each)
    return x.laid(x.value[tuple(given)], x.mask[tuple(mask_index)], axes)


def cat(tensors: Sequence[Any], dim: int = 0) -> PartlyVisible:
    """(ours) m' = the product of all masks, so that a position counts where all branches see it."""
    features, first, mask = _all_features(tensors, "cat", dim)
    if first.axes[dim] != "c":
        refuse(f"cat along dimension {dim}")
    return first.like(torch.cat([part.value * mask.to(part.value.dtype) for part in features], dim), mask)


def stack(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """(ours) As cat, along a channel dimension more."""
    features, first, mask = _all_features(tensors, "stack", dim)
    value = torch.stack([part.value * mask.to(part.value.dtype) for part in features], dim)
    place = dim % value.ndim
    if not place:
        refuse("stack along the batch")
    return first.laid(value, mask.unsqueeze(place), first.axes[:place] + "c" + first.axes[place:])


def _all_features(tensors: Sequence[Any], name: str, dim: int) -> tuple[list[PartlyVisible], PartlyVisible, Tensor]:
    features = list(found(tensors, {}))
    if len(features) != len(tensors):
        refuse(f"{name} along dimension {dim} with tensors that have no mask")
    return features, *together(features)
