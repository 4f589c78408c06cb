"""The policy's network: local features, their mean over space, a linear head; so that class activation maps exist."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xai_bench.types import Logits

FEATURES, HEAD = "features", "head"  # what attention reads


class Coordinates(nn.Module):
    """Append two channels that say where a cell is, from -1 to 1 right and down.

    The mean over space forgets places, and where the target is decides the move.
    Source: Liu et al. 2018, arXiv:1807.03247 (CoordConv).
    """

    def forward(self, grid: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C+2 h w"]:
        batch, _, height, width = grid.shape
        sides = (torch.linspace(-1, 1, side, device=grid.device, dtype=grid.dtype) for side in (height, width))
        down, right = torch.meshgrid(*sides, indexing="ij")
        return torch.cat([grid, torch.stack([right, down]).expand(batch, -1, -1, -1)], dim=1)


def local_features(channels: int) -> nn.Sequential:
    """Normalised images to a grid of a fourth of their side, whose cells see 17 pixels each way across."""
    return nn.Sequential(
        Coordinates(),
        nn.Conv2d(5, channels // 2, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1),
        nn.ReLU(),
        Coordinates(),
        nn.Conv2d(channels + 2, channels, 3, padding=1),
        nn.ReLU(),
    )


class PolicyNetwork(nn.Module):
    """Normalised images to one logit per action."""

    def __init__(self, features: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.features, self.head = features, head

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Logits:
        logits: Logits = self.head(self.features(images).mean((2, 3)))
        return logits


def policy_network(actions: int, channels: int) -> PolicyNetwork:
    """A policy with weights of its own, for a checkpoint's to go into."""
    return PolicyNetwork(local_features(channels), nn.Linear(channels, actions))
