"""Masks that are smooth whatever their parameters are, and how far each is from covering a given area."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

TEMPERATURE = 1 / 20  # of the smooth maximum
REACH = 2.0  # sigmas, after which the kernel is cut at 1 %

Parameters = Float[Tensor, "n h w"]  # in [0, 1]


def grid(size: tuple[int, int], cells: int) -> tuple[int, int]:
    """Rows and columns of square cells, `cells` along the shorter side."""
    height, width = (max(1, round(cells * side / min(size))) for side in size)
    return height, width


def kernel(sigma: float) -> Float[Tensor, "k k"]:
    """How far a cell shines on its neighbours, 1 within half a sigma, then falling as a Gaussian; sigma in cells."""
    radius = math.ceil(REACH * sigma)
    places = torch.arange(-radius, radius + 1)
    distance = torch.hypot(places[:, None].float(), places[None].float()) / sigma
    return torch.exp(-2 * (distance - 0.5).clamp(min=0) ** 2)


def smooth(parameters: Parameters, weights: Float[Tensor, "k k"]) -> Parameters:
    """The smooth maximum over a cell and its neighbours of parameter times kernel."""
    side = len(weights)
    around = F.unfold(parameters[:, None], side, padding=side // 2) * weights.flatten()[:, None]  # (n, k k, h w)
    return (around * (around / TEMPERATURE).softmax(1)).sum(1).view_as(parameters)


def excess(cells: Parameters, areas: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Mean squared distance of the sorted cells from a mask of exactly this area: 0 below it, 1 above."""
    ordered = cells.flatten(1).sort(1).values
    place = torch.arange(ordered.shape[1], device=cells.device)
    ideal = place >= ((1 - areas) * ordered.shape[1]).round()[:, None]
    return (ordered - ideal.to(ordered.dtype)).square().mean(1)
