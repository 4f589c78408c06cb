"""The policy's network: local features, their mean over space, a linear head; so that class activation maps exist."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xai_bench.types import Logits

Grid = Float[Tensor, "B C h w"]


class Coordinates(nn.Module):
    """Append two channels that say where a cell is, from -1 to 1 right and down.

    The mean over space forgets places, and where the target is decides the move.
    Liu et al. 2018, arXiv:1807.03247 (CoordConv).
    """

    def forward(self, grid: Grid) -> Grid:
        batch, _, height, width = grid.shape
        down, right = torch.meshgrid(
            *(torch.linspace(-1, 1, side, device=grid.device, dtype=grid.dtype) for side in (height, width)),
            indexing="ij",
        )
        return torch.cat([grid, torch.stack([right, down]).expand(batch, -1, -1, -1)], dim=1)


class PolicyNetwork(nn.Module):
    """Normalised images to one logit per action, through a grid of a fourth of the side."""

    def __init__(self, actions: int, *, channels: int = 32) -> None:
        super().__init__()
        self.features = nn.Sequential(
            Coordinates(),
            nn.Conv2d(5, channels // 2, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1),
            nn.ReLU(),
            Coordinates(),
            nn.Conv2d(channels + 2, channels, 3, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Linear(channels, actions)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Logits:
        logits: Logits = self.head(self.features(images).mean((2, 3)))
        return logits
