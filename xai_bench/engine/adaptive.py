"""Placeholder for the adaptive steps; the real one replaces this file."""

import torch
from torch import Tensor

GRID = 224


def first() -> Tensor:
    """Grid indices evaluated for every curve before anything is known."""
    return torch.arange(0, GRID + 1, 28)


def wanted(values: Tensor, known: Tensor) -> Tensor:  # noqa: ARG001
    """The points to evaluate next."""
    return torch.zeros_like(known)


def filled(values: Tensor, known: Tensor) -> Tensor:
    """Piecewise linear between known points."""
    import numpy as np  # noqa: PLC0415

    grid = np.arange(GRID + 1)
    rows = [np.interp(grid, grid[k.numpy()], v[k].numpy()) for v, k in zip(values, known, strict=True)]
    return torch.tensor(np.stack(rows))


def error(values: Tensor, known: Tensor) -> Tensor:  # noqa: ARG001
    """Estimate of the area's error."""
    return torch.zeros(len(values), dtype=torch.float64)
