"""Confidence: what the model says of the clean image."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from xai_bench.engine import Case
from xai_bench.metrics.metric import Metric
from xai_bench.types import MetricCard, Output


@dataclass(frozen=True)
class Confidence(Metric):
    """The output of the clean image: what deletion, insertion and every drop start from, so report it beside them.

    Undefined where the output is not finite: the log odds of a model with one class. No direction is better.
    Source: Nourelahi et al. 2022, arXiv:2205.13042: scores under removal are biased by a model's confidence.
    """

    card: ClassVar = MetricCard(
        "confidence",
        source="standard; Nourelahi et al. 2022, arXiv:2205.13042",
        summary="output of the clean image, which every score under removal starts from",
        family="model",
        degree=1,
        exempt={"direction": "a model can be rightly or wrongly sure of itself"},
    )

    output: Output = "probability"

    @property
    def bounds(self) -> tuple[float, float]:
        return (0.0, 1.0) if self.output == "probability" else (-math.inf, math.inf)

    def __call__(self, case: Case) -> Tensor:
        return case.scene.output(self.output)
