"""Average gain: how much of the doubt is lost when only what the map shows is seen."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from xai_bench.engine import Case
from xai_bench.metrics.reasons import Reasons, combined, unless
from xai_bench.metrics.soft_mask import EXEMPT, SoftMasked
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class AverageGain(SoftMasked):
    """Share of the doubt that is lost under the map, max(0, p(x L) - p(x)) / (1 - p(x)), one number per image.

    Undefined for a map that is constant, not finite or no mask under `scaling`, and where the clean probability is 1.
    The doubt is the probability of all other classes together, so it is exact however near p(x) is to 1.
    Source: Zhang et al. 2024 (Opti-CAM): the defaults; Xplique, whose masks are `scaling="absolute"`.
    """

    card: ClassVar = MetricCard(
        "average_gain",
        source="Zhang et al. 2024, arXiv:2301.07002; Xplique",
        summary="share of the model's doubt that is lost where only what the map shows is seen",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=0.0,
        high=1.0,
        family="faithfulness",
        exempt=EXEMPT,
    )
    facts: ClassVar = {**SoftMasked.facts, "output": "probability"}

    def undefined(self, case: Case) -> Reasons:
        doubtful = (-case.scene.output("log_odds")).sigmoid() > 0
        return combined(super().undefined(case), unless(doubtful, "clean probability is 1"))

    def __call__(self, case: Case) -> Tensor:
        before, after = ((-odds).sigmoid() for odds in (case.scene.output("log_odds"), self.shown(case, "log_odds")))
        return (1 - after / before).clamp(min=0)
