"""Deletion: how fast the output falls when the most relevant pixels are removed first."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from xai_bench.engine import Case, Curve, Ties
from xai_bench.metrics.metric import CurveMetric
from xai_bench.metrics.removal_curve import area, check_steps, output_bounds
from xai_bench.removal import Blur, Fill, Removal
from xai_bench.types import MetricCard, Output


@dataclass(frozen=True)
class Deletion(CurveMetric):
    """Area under the output as the most relevant pixels are removed first, over the fraction removed in [0, 1].

    Undefined for a map that is constant (it orders nothing) or not finite.
    `deletion@rise` is the published protocol: 224 steps, removed pixels become the model's mean colour, ties from the
    last pixel (Petsiuk, Das & Saenko 2018, section 4 and the authors' code).
    """

    card: ClassVar = MetricCard(
        "deletion",
        source="Petsiuk, Das & Saenko 2018, arXiv:1806.07421",
        summary="area under the output as the most relevant pixels are removed first",
        needs=frozenset({"maps", "ranking"}),
        better="lower",
        low=0.0,
        high=1.0,
    )
    protocols: ClassVar = {"rise": {"removal": Fill("mean"), "steps": 224, "ties": "last"}}
    facts: ClassVar = {
        "unit": "pixel",
        "order": "morf",
        "fractions": "equal",
        "ends": "both",
        "area": "trapezoid",
        "resampling": "none",
    }

    removal: Removal = field(default_factory=Blur)
    steps: int = 28
    output: Output = "probability"
    ties: Ties = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps)

    @property
    def bounds(self) -> tuple[float, float]:
        return output_bounds(self.output)

    def curve(self, case: Case) -> Curve:
        return case.curve(self.removal, "morf", self.steps, self.output, ties=self.ties)

    def __call__(self, case: Case) -> Tensor:
        return area(self.curve(case))
