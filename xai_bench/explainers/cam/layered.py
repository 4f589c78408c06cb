"""What the CAM family shares: the layers that are read, one map of each, and how several maps become one."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.errors import InvalidValueError, XaiBenchError
from xai_bench.explainers.explainer import Explainer, OnePass
from xai_bench.explainers.look import Seen, Sight
from xai_bench.explainers.upsample import upsample
from xai_bench.types import Images, Maps

Grid = Float[Tensor, "B C h w"]
Cells = Float[Tensor, "B h w"]


@dataclass(frozen=True)
class Layered(Explainer):
    """An explainer with one map per layer.

    Of one layer the map is upsampled bilinearly and not scaled. Of several, each is upsampled, scaled to [0, 1] by its
    own least and greatest value in the image (0 everywhere where it is constant; `layercam` otherwise), then combined.
    """

    layers: tuple[str, ...] = ()  # dotted names, () = the model's target layer
    combine: Literal["mean", "product", "max"] = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        twice = sorted({name for name in self.layers if self.layers.count(name) > 1})
        if twice:
            raise InvalidValueError(f"layers of {self.card.name} must be named once each, got {twice[0]!r} twice")

    @property
    def places(self) -> tuple[str, ...]:
        """The layers by name, "" for the target layer."""
        return self.layers or ("",)

    def unfit(self, model: VisionModel) -> str:
        try:
            for name in self.places:
                model.layer_at(name)
        except XaiBenchError as error:
            return str(error)
        return ""

    def scaled(self, maps: Maps, *, deepest: bool) -> Maps:  # noqa: ARG002 - LayerCAM scales its last layer otherwise
        """A layer's maps on a scale that all layers share."""
        return minmax(maps)

    def joined(self, cells: Sequence[Tensor], images: Images) -> Maps:
        """The maps of all layers, in the order of `places`, as one; each (B, h, w) of its own h and w."""
        maps = [upsample(each, images) for each in cells]
        if len(maps) == 1:
            return maps[0]
        stack = torch.stack([self.scaled(each, deepest=each is maps[-1]) for each in maps])
        match self.combine:
            case "mean":
                return stack.mean(0)
            case "product":
                return stack.prod(0)
            case "max":
                return stack.amax(0)


@dataclass(frozen=True)
class LayerMaps(Layered, OnePass):
    """One that reads the activations and gradients of its layers, and so shares the pass."""

    @abstractmethod
    def cells(self, activations: Grid, gradients: Grid) -> Cells:
        """The map of one layer."""

    def sights(self, model: VisionModel) -> frozenset[Sight]:
        return frozenset(Sight("layer", model.layer_at(name).name) for name in self.places)

    def read(self, seen: Seen) -> Maps:
        cells = [self.cells(seen.activations(name), seen.gradients(name)) for name in self.places]
        return self.joined(cells, seen.images)


def weighted(activations: Grid, weights: Float[Tensor, "B C"]) -> Cells:
    """The sum of the channels, each times its weight."""
    return torch.einsum("bchw,bc->bhw", activations, weights)


def positive(cells: Cells, *, relu: bool) -> Cells:
    """The positive part, where it is asked for."""
    return cells.clamp(min=0) if relu else cells


def norm(grid: Grid) -> Cells:
    """The Euclidean norm over the channels."""
    norms: Tensor = torch.linalg.vector_norm(grid, dim=1)
    return norms


def minmax(maps: Maps) -> Maps:
    """From each map's least to its greatest value, as 0 to 1; 0 where the map is constant."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return torch.where(high == low, 0, (maps - low) / (high - low))
