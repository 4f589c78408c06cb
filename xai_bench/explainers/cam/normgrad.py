"""NormGrad: how strongly a virtual layer that does nothing would learn from each cell."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from xai_bench.explainers.cam.layered import Cells, Grid, LayerMaps, norm
from xai_bench.types import ExplainerCard


@dataclass(frozen=True)
class NormGrad(LayerMaps):
    """Norm, in each cell, of the gradient with respect to the weights of an identity layer put behind the target layer.

    With a the activations and g their gradients in cell u, by the kind of that layer: `conv1x1` |a_u| |g_u|,
    `conv3x3` |a around u, 3 x 3 cells| |g_u|, `scaling` |a_u g_u|, `bias` |g_u|. Never negative: it shows where a
    change of the weights matters, for the class or against it, and hardly depends on the class. `bias` is constant,
    and so undefined for metrics that rank, behind the last layer of a model that pools by the mean; the others where
    all gradients are 0. Several layers are multiplied, as in the paper.
    """

    card: ClassVar = ExplainerCard(
        "normgrad",
        source="Rebuffi et al. 2020, arXiv:2004.02866, sections 3.2 and 3.3",
        summary="norm of activations times norm of gradients, in each cell of the target layer",
        family="cam",
        passes="1 F + 1 B",
    )

    combine: Literal["mean", "product", "max"] = "product"
    layer_kind: Literal["conv1x1", "conv3x3", "scaling", "bias"] = "conv1x1"

    def cells(self, activations: Grid, gradients: Grid) -> Cells:
        match self.layer_kind:
            case "conv1x1":
                return norm(activations) * norm(gradients)
            case "conv3x3":
                return _around(activations).sqrt() * norm(gradients)
            case "scaling":
                return norm(activations * gradients)
            case "bias":
                return norm(gradients)


def _around(activations: Grid) -> Tensor:
    """Sum of the squares in a cell and its eight neighbours, 0 outside the grid."""
    squares = activations.square().sum(1, keepdim=True)
    return F.avg_pool2d(squares, 3, stride=1, padding=1, divisor_override=1)[:, 0]
