"""Randomness that is handed in: a stateless key, so that batch size, order and resume cannot change a number."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from xai_bench.keys import digest, key


@dataclass(frozen=True)
class Noise:
    """One independent random stream per sample, a function of (seed, purpose, sample id) and of nothing else."""

    seed: int
    purpose: str
    ids: tuple[str, ...]  # (B,)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers in [0, 1), (B, *shape) float32 on the CPU; the same at every call."""
        return self._draw(lambda generator: torch.rand(shape, generator=generator), shape)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, (B, *shape) float32 on the CPU; the same at every call."""
        return self._draw(lambda generator: torch.randn(shape, generator=generator), shape)

    def permutations(self, size: int) -> Tensor:
        """A random order of range(size) per sample, (B, size) int64 on the CPU; the same at every call."""
        orders = [torch.randperm(size, generator=generator) for generator in self._generators()]
        return torch.stack(orders) if orders else torch.empty(0, size, dtype=torch.int64)

    def _draw(self, draw: Callable[[torch.Generator], Tensor], shape: tuple[int, ...]) -> Tensor:
        fields = [draw(generator) for generator in self._generators()]
        return torch.stack(fields) if fields else torch.empty(0, *shape)

    def _generators(self) -> Iterable[torch.Generator]:
        return (torch.Generator().manual_seed(key(self.seed, self.purpose, sample)) for sample in self.ids)


__all__ = ["Noise", "digest", "key"]
