"""Selectivity: how much of the output is left while the most relevant patches are removed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from xai_bench.engine import Case, Curve, Patch, Steps, Ties, Trajectory, Unit, adaptive, check_steps
from xai_bench.metrics.metric import CurveMetric
from xai_bench.metrics.removal_curve import area
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard, Output


@dataclass(frozen=True)
class Selectivity(CurveMetric):
    """Area under the output as patches are removed, the most relevant first, over the fraction removed in [0, 1].

    Undefined for a map that is constant (it orders nothing) or not finite.

    Source: Montavon, Samek & Mueller 2018, "Methods for interpreting and understanding deep neural networks"
    (explanation selectivity). Patches of 8 pixels as in Quantus; the mean colour and the trapezoid with both ends are
    ours. Patches are ranked by their mean relevance: where all have one size, that is the order of their sums.
    """

    card: ClassVar = MetricCard(
        "selectivity",
        source="Montavon, Samek & Mueller 2018, DSP 73, arXiv:1706.07979",
        summary="area under the output as the most relevant patches are removed first",
        needs=frozenset({"maps", "ranking"}),
        better="lower",
        low=0.0,
        high=1.0,
        family="faithfulness",
        degree=1,
        exempt={"monotone": "relevance is averaged over units"},
    )
    facts: ClassVar = {"order": "morf", "ends": "both", "area": "trapezoid", "resampling": "unit mean"}

    removal: Removal = field(default_factory=Fill)
    unit: Unit = field(default_factory=lambda: Patch(8))
    steps: Steps = "each"
    output: Output = "probability"
    ties: Ties = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps, f"steps of {self.card.name}")

    @property
    def fixed(self) -> Mapping[str, str]:
        return {**self.facts, "fractions": adaptive.RULE} if self.steps == "adaptive" else self.facts

    @property
    def bounds(self) -> tuple[float, float]:
        return (0.0, 1.0) if self.output == "probability" else (-math.inf, math.inf)

    @property
    def questions(self) -> tuple[Trajectory, ...]:
        guide = self.output if self.steps == "adaptive" else None
        return (Trajectory(self.removal, "morf", self.steps, self.ties, self.unit, guide),)

    def curve(self, case: Case) -> Curve:
        return case.curve(self.questions[0], self.output)

    def errors(self, case: Case) -> Tensor | None:
        return self.curve(case).error

    def __call__(self, case: Case) -> Tensor:
        return area(self.curve(case))
