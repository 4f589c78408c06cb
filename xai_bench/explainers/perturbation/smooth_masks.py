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


def masks(
    parameters: Parameters, weights: Float[Tensor, "k k"], size: tuple[int, int]
) -> Float[Tensor, "n height width"]:
    """The smooth maximum over neighbouring cells of parameter times kernel, enlarged to pixels."""
    side = len(weights)
    around = F.unfold(parameters[:, None], side, padding=side // 2) * weights.flatten()[:, None]  # (n, k k, h w)
    smooth = (around * (around / TEMPERATURE).softmax(1)).sum(1).view_as(parameters)
    return F.interpolate(smooth[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def excess(keep: Float[Tensor, "n height width"], areas: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Mean squared distance of the sorted pixels from a mask of exactly this area: 0 below it, 1 above."""
    ordered = keep.flatten(1).sort(1).values
    place = torch.arange(ordered.shape[1], device=keep.device)
    ideal = place >= ((1 - areas) * ordered.shape[1]).round()[:, None]
    return (ordered - ideal.to(ordered.dtype)).square().mean(1)
