"""Selective NormGrad: NormGrad of the channels that speak for the class."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from xai_bench.explainers.cam.layered import Cells, Grid, LayerMaps, norm
from xai_bench.types import ExplainerCard


@dataclass(frozen=True)
class SelectiveNormGrad(LayerMaps):
    """Norm over the channels of max(0, A d logit / d A) in each cell.

    NormGrad with a scaling layer and the positive part before the norm, so that it depends on the class. Never
    negative; constant where no channel speaks for the class. Several layers are multiplied, as in the paper.
    """

    card: ClassVar = ExplainerCard(
        "normgrad_selective",
        source="Rebuffi et al. 2020, arXiv:2004.02866, section 3.3",
        summary="norm of the positive part of activations times gradients, in each cell of the target layer",
        family="cam",
        passes="1 F + 1 B",
    )

    combine: Literal["mean", "product", "max"] = "product"

    def cells(self, activations: Grid, gradients: Grid) -> Cells:
        return norm((activations * gradients).clamp(min=0))
