"""What comprehensiveness and sufficiency have in common: shares of the image, and the fall of the output at each."""

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from xai_bench.engine import Case, Curve, Pixel, Ties, Trajectory, Unit, check_steps
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.metric import CurveMetric
from xai_bench.metrics.reasons import combined, unless
from xai_bench.removal import Fill, Removal
from xai_bench.types import Output

SOURCE = "DeYoung et al. 2020 (ERASER), arXiv:1911.03429"


@dataclass(frozen=True)
class Bins(CurveMetric):
    """Mean of f(x) - f(altered x) over `bins`, shares of the image by relevance."""

    facts: ClassVar = {"ends": "none", "area": "mean over bins", "resampling": "none"}

    removal: Removal = field(default_factory=Fill)
    bins: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2, 0.5)
    unit: Unit = field(default_factory=Pixel)
    output: Output = "probability"
    ties: Ties = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.bins, f"bins of {self.card.name}")
        if self.bins[0] == 0:
            raise InvalidValueError(f"bins of {self.card.name} must be shares above 0, got {self.bins}")

    @property
    def bounds(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.output == "probability" else (-math.inf, math.inf)

    @property
    @abstractmethod
    def questions(self) -> tuple[Trajectory, ...]:
        """The removal of the bins, or of all but the bins."""

    def undefined(self, case: Case) -> tuple[str, ...]:
        """A share of less than half a unit removes nothing."""
        some = [self.bins[0] * count >= 0.5 for count in case.partition(self.unit).counts]
        return combined(super().undefined(case), unless(torch.tensor(some), "image has too few units"))

    def curve(self, case: Case) -> Curve:
        """f(x) - f(altered x) at each share that is removed."""
        curve = case.curve(self.questions[0], self.output)
        return curve._replace(values=case.scene.output(self.output)[:, None] - curve.values)

    def __call__(self, case: Case) -> Tensor:
        return self.curve(case).values.mean(1)
