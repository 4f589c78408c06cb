"""The first principal component of a layer's cells."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from xai_bench.explainers.cam.layered import Cells, Grid


def first_component(features: Grid, towards: Cells, *, centred: bool) -> Cells:
    """Each cell's place along the direction in which the cells' features vary most.

    A singular vector has no sign of its own. It gets the one that goes with `towards`: the sum over the cells of the
    product of both is not negative. All 0 where the cells are alike.
    """
    rows = features.flatten(2).mT.float()  # (B, cells, C)
    rows = rows - rows.mean(1, keepdim=True) if centred else rows
    places = (rows @ _direction(rows)).squeeze(2)
    agreement = (places * towards.flatten(1)).sum(1, keepdim=True)
    return torch.where(agreement < 0, -places, places).view_as(towards)


def _direction(rows: Float[Tensor, "B n C"]) -> Float[Tensor, "B C 1"]:
    """The first right singular vector, by the smaller of the two matrices of products: much faster than an SVD."""
    if rows.shape[1] > rows.shape[2]:
        axis: Tensor = torch.linalg.eigh(rows.mT @ rows).eigenvectors[..., -1:]
        return axis
    along: Tensor = torch.linalg.eigh(rows @ rows.mT).eigenvectors[..., -1:]
    return F.normalize(rows.mT @ along, dim=1)
