"""Region perturbation: how far the output falls on average as the most relevant regions go (AOPC, ABPC)."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from xai_bench.engine import Case, Curve, Order, Patch, Ties, Trajectory, Unit
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.metric import CurveMetric
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard, Output

ORDERS: dict[str, tuple[Order, ...]] = {"morf": ("morf",), "lerf": ("lerf",), "abpc": ("morf", "lerf")}


@dataclass(frozen=True)
class RegionPerturbation(CurveMetric):
    """Mean fall of the output, f(x) - f(x_k), over k = 0 ... L regions removed, the most relevant first (AOPC).

    `reading="lerf"` removes the least relevant first: there a low value is better. `reading="abpc"` is the area between
    the two curves, the mean of f(x_k) least relevant first minus f(x_k) most relevant first; high is better.
    `regions` is L, None for all; an image with fewer regions is averaged over its own.
    Undefined for a map that is constant (it orders nothing) or not finite.

    Source: Samek et al. 2017, "Evaluating the visualization of what a deep neural network has learned" (AOPC):
    9 x 9 pixels, L = 100, and uniform noise in the place of a region (`removal="uniform_noise"`). The mean
    colour is our default, because it is the same at every call; regions are ranked by their mean relevance.
    """

    card: ClassVar = MetricCard(
        "region_perturbation",
        source="Samek et al. 2017, IEEE TNNLS 28(11), arXiv:1509.06321",
        summary="mean fall of the output over the first regions removed, most relevant first",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=-1.0,
        high=1.0,
        family="faithfulness",
        degree=1,
        exempt={"monotone": "relevance is averaged over units"},
    )
    facts: ClassVar = {"fractions": "each", "ends": "clean", "area": "mean", "resampling": "unit mean"}

    removal: Removal = field(default_factory=Fill)
    reading: Literal["morf", "lerf", "abpc"] = "morf"
    unit: Unit = field(default_factory=lambda: Patch(9))
    regions: int | None = 100
    output: Output = "probability"
    ties: Ties = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.regions is not None and self.regions < 1:
            raise InvalidValueError(f"regions of region_perturbation must be at least 1, got {self.regions}")
        if self.reading == "lerf":
            object.__setattr__(self, "card", dataclasses.replace(self.card, better="lower"))  # of this reading

    @property
    def bounds(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.output == "probability" else (-math.inf, math.inf)

    @property
    def questions(self) -> tuple[Trajectory, ...]:
        return tuple(
            Trajectory(self.removal, order, "each", self.ties, self.unit, most=self.regions)
            for order in ORDERS[self.reading]
        )

    def curve(self, case: Case) -> Curve:
        """f(x) - f(x_k) for k = 0 ... L; of both orders' curves the first minus the second."""
        first, *others = (case.curve(question, self.output) for question in self.questions)
        if others:
            return first._replace(values=others[0].values - first.values)
        return first._replace(values=case.scene.output(self.output)[:, None] - first.values)

    def __call__(self, case: Case) -> Tensor:
        curve = self.curve(case)
        points = torch.ones_like(curve.values) if curve.evaluated is None else curve.evaluated.double()
        return (curve.values * points).sum(1) / points.sum(1)
