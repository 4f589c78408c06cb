"""What the metrics that summarise a removal curve have in common."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from xai_bench.engine import Case, Curve, Order, Steps, Ties, Trajectory, adaptive, check_steps
from xai_bench.metrics.metric import CurveMetric
from xai_bench.removal import Blur, Removal
from xai_bench.types import Output


def area(curve: Curve) -> Tensor:
    """Trapezoid over [0, 1], both end points counted half, (B,) float64."""
    return torch.trapezoid(curve.values, curve.fractions, dim=1)


@dataclass(frozen=True)
class AreaUnderCurve(CurveMetric):
    """Area under the output over the fraction removed or shown, in `steps` equal steps with both ends.

    `steps="adaptive"` evaluates each image's curve where it bends, with an estimate of the area's error.
    """

    walked: ClassVar[Order]  # the order of removal
    facts: ClassVar = {"unit": "pixel", "fractions": "equal", "ends": "both", "area": "trapezoid", "resampling": "none"}

    removal: Removal = field(default_factory=Blur)
    steps: Steps = 28
    output: Output = "probability"
    ties: Ties = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps)

    @property
    def fixed(self) -> Mapping[str, str]:
        return {**self.facts, "fractions": "equal" if self.steps != "adaptive" else adaptive.RULE}

    @property
    def bounds(self) -> tuple[float, float]:
        return (0.0, 1.0) if self.output == "probability" else (-math.inf, math.inf)

    @property
    def trajectory(self) -> Trajectory:
        """The altered images of the curve."""
        guide = self.output if self.steps == "adaptive" else None
        return Trajectory(self.removal, self.walked, self.steps, self.ties, guide=guide)

    @property
    def questions(self) -> tuple[Trajectory, ...]:
        return (self.trajectory,)

    def curve(self, case: Case) -> Curve:
        return case.curve(self.trajectory, self.output)

    def errors(self, case: Case) -> Tensor | None:
        return self.curve(case).error

    def __call__(self, case: Case) -> Tensor:
        return area(self.curve(case))
