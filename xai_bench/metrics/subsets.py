"""Masks that hide a subset of the image: some units drawn at random, a square, each unit alone, a tenth of a ranking.

What is drawn depends on the sample and on the subset's size alone, so that explainers and metrics share their passes.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from xai_bench.engine import Case, Masks, Ties, Unit
from xai_bench.errors import InvalidValueError
from xai_bench.removal import Removal
from xai_bench.seeding import Noise


def check_size(size: int | float, what: str) -> None:
    """Refuse a size that is neither a share nor a whole number."""
    if not (0 < size < 1 or (size >= 1 and float(size).is_integer())):
        raise InvalidValueError(f"{what} must be a share between 0 and 1 or a whole number from 1 on, got {size}")


def check_samples(samples: int, what: str, least: int) -> None:
    """Refuse fewer draws than the formula needs."""
    if samples < least:
        raise InvalidValueError(f"samples of {what} must be at least {least}, got {samples}")


def counted(size: int | float, total: int) -> int:
    """How many of `total`: a share below 1 is floor(share total + 1/2) and at least one, else the number itself."""
    return min(max(int(size * total + 0.5), 1) if size < 1 else int(size), total)


@dataclass(frozen=True)
class RandomSubsets(Masks):
    """Hides `size` units drawn at random without replacement, `samples` times."""

    removal: Removal
    unit: Unit
    size: int | float  # below 1 a share of the units, from 1 on their number
    samples: int

    def keep(self, case: Case, row: int) -> Tensor:
        partition = case.partition(self.unit)
        total = partition.counts[row]
        size = counted(self.size, total)
        drawn = _draws(case, f"subsets of {size}", row, self.samples, total).topk(size, sorted=False).indices
        chosen = torch.zeros(self.samples, total, dtype=torch.bool).scatter_(1, drawn, value=True)
        return ~partition.pixels(row, chosen.to(case.batch.images.device))


@dataclass(frozen=True)
class RandomSquares(Masks):
    """Hides one square wholly inside the image, at a random place, `samples` times."""

    removal: Removal
    size: int | float  # of the side: below 1 a share of the image's shorter side, from 1 on pixels
    samples: int

    def keep(self, case: Case, row: int) -> Tensor:
        sides = case.batch.images.shape[2:]
        size = counted(self.size, min(sides))
        drawn = _draws(case, f"squares of {size}", row, self.samples, 2).double()
        hidden = []
        for axis, side in enumerate(sides):
            first = (drawn[:, axis] * (side - size + 1)).long()[:, None]
            place = torch.arange(side)
            hidden.append((place >= first) & (place < first + size))
        vertical, horizontal = (part.to(case.batch.images.device) for part in hidden)
        return ~(vertical[:, :, None] & horizontal[:, None, :])


@dataclass(frozen=True)
class EachAlone(Masks):
    """Hides one unit after the other, alone."""

    removal: Removal
    unit: Unit

    def keep(self, case: Case, row: int) -> Tensor:
        partition = case.partition(self.unit)
        return ~partition.pixels(
            row, torch.eye(partition.counts[row], dtype=torch.bool, device=case.batch.images.device)
        )


@dataclass(frozen=True)
class RankGroups(Masks):
    """Hides one of `groups` equal parts of the ranking of pixels, the most relevant first."""

    removal: Removal
    groups: int
    ties: Ties

    def keep(self, case: Case, row: int) -> Tensor:
        height, width = case.batch.images.shape[2:]
        ranks = case.ranks(self.ties)[row].view(height, width)
        return torch.stack([(ranks < first) | (ranks >= last) for first, last in pairwise(self.edges(height * width))])

    def edges(self, total: int) -> list[int]:
        """Where each group begins, and where the last ends; sizes differ by one pixel at most."""
        return [(2 * group * total + self.groups) // (2 * self.groups) for group in range(self.groups + 1)]


def _draws(case: Case, purpose: str, row: int, *shape: int) -> Tensor:
    """Uniform numbers of one sample; fewer samples are the first of more."""
    noise = case.scene.noise(purpose)
    return Noise(noise.seed, noise.purpose, (noise.ids[row],)).uniform(*shape)[0]
