"""Models so simple that the right score is known on paper. The self-test and the tests measure them."""

import torch
from torch import Tensor, nn

from xai_bench.adapters import Preprocessing, VisionModel

# one grey image of four pixels, in tenths; removing a pixel from a sum costs exactly its value
PIXELS = torch.tensor([[[0.4, 0.3], [0.2, 0.1]]])
IMAGE = PIXELS[:, None].expand(1, 3, 2, 2).clone()


class Sum(nn.Module):
    """Logits (sum of the grey pixels, 0)."""

    def forward(self, images: Tensor) -> Tensor:
        total = images.mean(1).sum((1, 2))
        return torch.stack([total, torch.zeros_like(total)], 1)


class Linear(nn.Module):
    """Logits (<weights, image>, 0), weights (3, H, W)."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, images: Tensor) -> Tensor:
        total = (images * self.weights).sum((1, 2, 3))
        return torch.stack([total, torch.zeros_like(total)], 1)


class Convolution(nn.Module):
    """A 1 x 1 convolution to two channels, global average pooling and a linear head: a CAM by hand."""

    def __init__(self, features: Tensor, head: Tensor) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 2, 1, bias=False)
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.features.weight.copy_(features[:, :, None, None])
            self.head.weight.copy_(head)

    def forward(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.features(images).mean((2, 3))
        return self.head(pooled)  # type: ignore[no-any-return]


def as_model(module: nn.Module, size: tuple[int, int] = (2, 2), layer: str | None = None) -> VisionModel:
    """The module with no normalisation."""
    zeros, ones = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    name = type(module).__name__.lower()
    return VisionModel(module, name=name, mean=zeros, std=ones, preprocessing=Preprocessing(size), layer=layer)
