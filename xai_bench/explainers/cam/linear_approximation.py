"""Linear approximation: what the logit would lose, to first order, without each cell."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.explainers.cam.layered import Cells, Grid, LayerMaps, positive
from xai_bench.types import ExplainerCard


@dataclass(frozen=True)
class LinearApproximation(LayerMaps):
    """Positive part of sum_c A_c d logit / d A_c in each cell: NormGrad's framework with a sum, and HiResCAM's numbers.

    Constant, and so undefined for metrics that rank, where no cell speaks for the class.
    """

    card: ClassVar = ExplainerCard(
        "linear_approximation",
        source="Kindermans et al. 2016, arXiv:1611.07270; Rebuffi et al. 2020, arXiv:2004.02866, section 3",
        summary="target layer's activations times their gradients, positive part",
        family="cam",
        passes="1 F + 1 B",
    )

    relu: bool = True

    def cells(self, activations: Grid, gradients: Grid) -> Cells:
        return positive((activations * gradients).sum(1), relu=self.relu)
