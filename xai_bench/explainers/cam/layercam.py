"""LayerCAM: a layer's activations times their positive gradients, cell by cell, of shallow layers too."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from xai_bench.errors import InvalidValueError
from xai_bench.explainers.cam.layered import Cells, Grid, LayerMaps
from xai_bench.types import ExplainerCard, Maps


@dataclass(frozen=True)
class LayerCAM(LayerMaps):
    """Positive part of sum_c A_c max(0, d logit / d A_c) in each cell.

    Several layers are named from shallow to deep. As in the paper, each layer's map is divided by its greatest value, a
    shallow one is then lifted, tanh(gamma x), and the greatest of all is taken in each pixel; the last layer is not
    lifted, so the order matters. Constant, and so undefined for metrics that rank, where no gradient is positive.
    """

    card: ClassVar = ExplainerCard(
        "layercam",
        source="Jiang et al. 2021, 'LayerCAM', IEEE TIP 30, equations 5, 6 and 9",
        summary="target layer's activations times their positive gradients, positive part",
        family="cam",
        passes="1 F + 1 B",
    )

    combine: Literal["mean", "product", "max"] = "max"
    gamma: float = 2.0  # of the lift

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.gamma < float("inf"):
            raise InvalidValueError(f"gamma of layercam must be above 0 and finite, got {self.gamma:g}")

    def cells(self, activations: Grid, gradients: Grid) -> Cells:
        return (activations * gradients.clamp(min=0)).sum(1).clamp(min=0)

    def scaled(self, maps: Maps, *, deepest: bool) -> Maps:
        top = maps.amax((1, 2), keepdim=True)
        shares = torch.where(top == 0, 0, maps / top)
        return shares if deepest else torch.tanh(self.gamma * shares)
