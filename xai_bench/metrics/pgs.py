"""PGS: how far hiding the most relevant pixels takes down a group of classes."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float64
from torch import Tensor

from xai_bench.engine import Case
from xai_bench.metrics.rfxg import SOURCE, Clean, Grouped, Probabilities, mean_over
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class Pgs(Grouped):
    """Area under the mean fall of the group's probabilities as the most relevant pixels are hidden.

    See `group` for A. Undefined for a map that is constant or not finite, and where no group holds the target.

    Source: RFxG (arXiv:2511.13081), Pointwise Group Score, as its code computes it.
    """

    card: ClassVar = MetricCard(
        "pgs",
        source=SOURCE,
        summary="area under the mean fall of a group's probabilities as the most relevant pixels are hidden",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=-1.0,
        high=1.0,
        family="faithfulness",
    )

    def change(self, case: Case, hidden: Probabilities, clean: Clean) -> Float64[Tensor, "B S"]:
        return mean_over(clean - hidden, self.members(case))
