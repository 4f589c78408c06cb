"""What a model said of altered images: by whom they are asked for, and under which names."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from xai_bench.engine.readout import Readout
from xai_bench.engine.totals import PART
from xai_bench.removal import Removal
from xai_bench.types import Output

Key = tuple[object, int, int, int]  # removal, sample, and two numbers that stand for what is kept


class Altered(NamedTuple):
    """One altered image: what remains of a sample at a step of somebody's list."""

    row: int  # of the batch
    asker: int  # place in the list of those that are looked at together
    step: int


class Asker(ABC):
    """Somebody who wants altered images looked at."""

    removal: Removal
    full: bool = False  # whether the logits of all classes are to be kept, not only the readout

    @property
    @abstractmethod
    def unfinished(self) -> bool:
        """Whether there is something left to look at."""

    @abstractmethod
    def asked(self) -> list[tuple[Key, int, int]]:
        """What is wanted now: name, sample, step. Equal names mean equal altered images."""

    @abstractmethod
    def visible(self, row: int, steps: list[int]) -> Tensor:
        """What remains of a sample at these steps, (n, H, W): bool, or float32 in [0, 1] for soft masks."""

    @abstractmethod
    def take(self, found: Readout) -> None:
        """Put down what was seen of what was asked, in its order, and decide what is wanted next."""


class Glances(Asker):
    """Any number of masks per image, each looked at once."""

    def __init__(self, removal: Removal, count: int, keep: Callable[[int], Tensor]) -> None:
        self.removal, self._count, self._keep = removal, count, keep
        self._last: tuple[int, Tensor] = -1, torch.empty(0)
        self._asked: list[tuple[Key, int, int]] | None = None
        self._found: Readout | None = None

    @property
    def unfinished(self) -> bool:
        return self._found is None

    def asked(self) -> list[tuple[Key, int, int]]:
        if self._asked is None:
            self._asked = [
                (key, row, step)
                for row in range(self._count)
                for step, key in enumerate(names(self.removal, row, self._masks(row)))
            ]
        return self._asked

    def visible(self, row: int, steps: list[int]) -> Tensor:
        return self._masks(row)[steps]

    def take(self, found: Readout) -> None:
        self._found = found

    def values(self, output: Output | None) -> Float64[Tensor, "B S"]:
        """The output (None: the predicted class) of each mask; nan where an image has fewer masks than others."""
        assert self._found is not None
        flat = self._found.predicted.double() if output is None else self._found.scalar(output)
        rows, steps = (torch.tensor([item[place] for item in self.asked()], dtype=torch.int64) for place in (1, 2))
        width = int(steps.max()) + 1 if len(steps) else 0
        values = torch.full((self._count, width), torch.nan, dtype=torch.float64)
        values[rows, steps] = flat.cpu()
        return values

    def _masks(self, row: int) -> Tensor:
        if self._last[0] != row:  # images come one after the other, so that one image's masks are in memory at a time
            self._last = row, self._keep(row)
        return self._last[1]


def whole(row: int) -> Key:
    """The name of a sample of which nothing is removed."""
    return None, row, 0, 0


def names(removal: Removal, row: int, keep: Tensor) -> Sequence[Key]:
    """A name for each mask (S, H, W) of a sample; hard masks have the names that a walk would give them."""
    if keep.dtype != torch.bool:
        return [(removal, row, *_digest(mask)) for mask in keep]
    marks = pixel_marks((keep.shape[1], keep.shape[2])).to(keep.device)[:, None]
    sums = [torch.where(part, marks, 0).sum((2, 3)) for part in torch.split(keep, PART)]
    kept = torch.cat(sums, 1).T.tolist() if sums else []
    full = keep.flatten(1).all(1).tolist() if removal.soft else [False] * len(keep)
    return [whole(row) if clean else (removal, row, *pair) for clean, pair in zip(full, kept, strict=True)]


@lru_cache(maxsize=8)
def pixel_marks(size: tuple[int, int]) -> Int64[Tensor, "2 H W"]:
    """Two random numbers for each pixel: their sums over what is visible, modulo 2^64, stand for a mask.

    Two different masks have the same pair of sums with probability 2^-128.
    """
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-(2**63), 2**63 - 1, (2, *size), generator=generator)


def _digest(mask: Tensor) -> tuple[int, int]:
    found = hashlib.blake2b(mask.cpu().contiguous().numpy().tobytes(), digest_size=16).digest()
    return int.from_bytes(found[:8]), int.from_bytes(found[8:])
