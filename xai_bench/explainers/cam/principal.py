"""The first principal component of a layer's cells."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from xai_bench.explainers.cam.layered import Cells, Grid


def first_component(features: Grid, *, centred: bool) -> Cells:
    """Each cell's place along the direction in which the cells' features vary most; its sign is left to chance.

    All 0 where the cells are alike.
    """
    rows = features.flatten(2).mT.float()  # (B, cells, C)
    rows = rows - rows.mean(1, keepdim=True) if centred else rows
    return (rows @ _direction(rows)).view_as(features[:, 0])


def turned(places: Cells, wrong: Bool[Tensor, " B"]) -> Cells:
    """With the other sign, where it is the wrong one."""
    return torch.where(wrong[:, None, None], -places, places)


def _direction(rows: Float[Tensor, "B n C"]) -> Float[Tensor, "B C 1"]:
    """The first right singular vector, by the smaller of the two matrices of products: much faster than an SVD."""
    if rows.shape[1] > rows.shape[2]:
        axis: Tensor = torch.linalg.eigh(rows.mT @ rows).eigenvectors[..., -1:]
        return axis
    along: Tensor = torch.linalg.eigh(rows @ rows.mT).eigenvectors[..., -1:]
    return F.normalize(rows.mT @ along, dim=1)
