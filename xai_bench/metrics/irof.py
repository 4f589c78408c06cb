"""IROF: the area over the relative output as superpixels are removed, the most relevant first."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from xai_bench.engine import Case, Curve, Slic, Ties, Trajectory, Unit
from xai_bench.metrics.metric import CurveMetric
from xai_bench.metrics.removal_curve import area
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard, Output


@dataclass(frozen=True)
class Irof(CurveMetric):
    """One minus the area under f(x_k) / f(x) as segments are removed one by one, over the fraction removed in [0, 1].

    Segments are ranked by their mean relevance and become the mean colour. 1 where the first segment takes all output
    away, up to half a step; below 0 where the output grows.
    Undefined for a map that is constant or not finite, an image of one segment, and a clean output that is not above 0.

    Source: Rieger & Hansen 2020, "IROF: a low resource evaluation metric for explanation methods". The area is
    over the fraction of segments (trapezoid, both ends), so that images with different numbers of segments compare.
    """

    card: ClassVar = MetricCard(
        "irof",
        source="Rieger & Hansen 2020, arXiv:2003.08747",
        summary="area over the relative output as the most relevant segments are removed first",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        high=1.0,
        family="faithfulness",
        degree=0,
        exempt={"monotone": "relevance is averaged over units"},
    )
    facts: ClassVar = {
        "order": "morf",
        "fractions": "each",
        "ends": "both",
        "area": "trapezoid over the curve",
        "resampling": "unit mean",
    }

    removal: Removal = field(default_factory=Fill)
    unit: Unit = field(default_factory=Slic)
    output: Output = "probability"
    ties: Ties = "random"

    @property
    def bounds(self) -> tuple[float, float]:
        return (-math.inf, 1.0 if self.output == "probability" else math.inf)

    @property
    def questions(self) -> tuple[Trajectory, ...]:
        return (Trajectory(self.removal, "morf", "each", self.ties, self.unit),)

    def undefined(self, case: Case) -> tuple[str, ...]:
        outputs, counts = case.scene.output(self.output).tolist(), case.partition(self.unit).counts
        return tuple(
            known or ("clean output is not above 0" if not output > 0 else "image is one segment" if count < 2 else "")
            for known, output, count in zip(super().undefined(case), outputs, counts, strict=True)
        )

    def curve(self, case: Case) -> Curve:
        """f(x_k) / f(x), (B, S)."""
        curve = case.curve(self.questions[0], self.output)
        return curve._replace(values=curve.values / case.scene.output(self.output)[:, None])

    def __call__(self, case: Case) -> Tensor:
        return 1 - area(self.curve(case))
