"""HiResCAM: a layer's activations times their gradients, cell by cell."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.explainers.cam.layered import Cells, Grid, LayerMaps, positive
from xai_bench.types import ExplainerCard


@dataclass(frozen=True)
class HiResCAM(LayerMaps):
    """sum_c A_c d logit / d A_c in each cell, with its sign.

    Where all behind the layer is linear, as in a ResNet, the cells sum to the logit without its bias. Each cell shows
    what it adds to the logit, negative where it speaks against the class. Constant only where all gradients are 0.
    pytorch-grad-cam shows the positive part alone, as `relu` does.
    """

    card: ClassVar = ExplainerCard(
        "hirescam",
        source="Draelos & Carin 2020, arXiv:2011.08891, equation 3",
        summary="target layer's activations times their gradients",
        family="cam",
        passes="1 F + 1 B",
    )

    relu: bool = False

    def cells(self, activations: Grid, gradients: Grid) -> Cells:
        return positive((activations * gradients).sum(1), relu=self.relu)
