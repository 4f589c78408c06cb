"""Increase in confidence: is the model surer when only what the map shows is seen?"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from xai_bench.engine import Case
from xai_bench.metrics.soft_mask import EXEMPT, SoftMasked
from xai_bench.types import MetricCard, Output


@dataclass(frozen=True)
class IncreaseInConfidence(SoftMasked):
    """1 where the output under the map is above that of the clean image, else 0.

    The mean over images is the paper's figure divided by 100. Undefined for a map that is constant, not finite or no
    mask under `scaling`.
    Source: Chattopadhay et al. 2018 (Grad-CAM++): the defaults.
    """

    card: ClassVar = MetricCard(
        "increase_in_confidence",
        source="Chattopadhay et al. 2018, arXiv:1710.11063",
        summary="share of images of which the model is surer where only what the map shows is seen",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=0.0,
        high=1.0,
        family="faithfulness",
        degree=0,
        exempt=EXEMPT,
    )
    facts: ClassVar = {**SoftMasked.facts, "equal": "no increase"}

    output: Output = "probability"

    def __call__(self, case: Case) -> Tensor:
        return (self.shown(case, self.output) > case.scene.output(self.output)).double()
