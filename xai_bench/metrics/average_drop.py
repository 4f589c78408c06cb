"""Average drop: what share of the output is lost when only what the map shows is seen."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from xai_bench.engine import Case
from xai_bench.metrics.reasons import Reasons, combined, unless
from xai_bench.metrics.soft_mask import EXEMPT, SoftMasked, relative_drop
from xai_bench.types import MetricCard, Output


@dataclass(frozen=True)
class AverageDrop(SoftMasked):
    """Share of the output that is lost under the map, max(0, p(x) - p(x L)) / p(x), one number per image.

    The mean over images is the paper's figure divided by 100. Undefined for a map that is constant, not finite or no
    mask under `scaling`, and where the clean output is not positive. A map that shows everything is perfect here: read
    it with the map's complexity, or take ADCC.
    Source: Chattopadhay et al. 2018 (Grad-CAM++): the defaults.
    """

    card: ClassVar = MetricCard(
        "average_drop",
        source="Chattopadhay et al. 2018, arXiv:1710.11063",
        summary="share of the output that is lost where only what the map shows is seen",
        needs=frozenset({"maps", "ranking"}),
        better="lower",
        low=0.0,
        high=math.inf,
        family="faithfulness",
        degree=0,
        exempt=EXEMPT,
    )

    output: Output = "probability"

    @property
    def bounds(self) -> tuple[float, float]:
        return (0.0, 1.0) if self.output == "probability" else (0.0, math.inf)

    def undefined(self, case: Case) -> Reasons:
        positive = unless(case.scene.output(self.output) > 0, "clean output is not positive")
        return combined(super().undefined(case), positive)

    def __call__(self, case: Case) -> Tensor:
        return relative_drop(case.scene.output(self.output), self.shown(case, self.output))
