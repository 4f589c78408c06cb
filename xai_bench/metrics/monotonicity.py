"""Monotonicity: whether the output grows as an image is filled in, the least relevant part first."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor

from xai_bench.engine import Case, Curve, Patch, Steps, Ties, Trajectory, Unit, check_steps
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.metric import CurveMetric
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard, Output

ROUNDING = 1e-5  # a fall of no more is rounding, which another batch size would change


@dataclass(frozen=True)
class Monotonicity(CurveMetric):
    """1 where the output never falls as units are shown in increasing order of relevance, from none to all, else 0.

    `reading="share"` (ours) is the share of steps at which it does not fall: on real models `all` is nearly always 0.
    A fall of 1e-5 or less is rounding (ours).
    Undefined for a map that is constant (it orders nothing) or not finite.

    Source: Arya et al. 2019, "One explanation does not fit all" (AIX360), after Luss et al. 2019 (arXiv:1905.12698).
    Patches of 16 pixels and the mean colour to begin with are ours, as is the first point, where nothing is shown.
    """

    card: ClassVar = MetricCard(
        "monotonicity",
        source="Arya et al. 2019, arXiv:1909.03012 (AIX360)",
        summary="whether the output never falls as the image is shown, least relevant units first",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=0.0,
        high=1.0,
        family="faithfulness",
        exempt={"monotone": "relevance is averaged over units"},
    )
    facts: ClassVar = {"order": "lerf shown", "ends": "both", "rounding": f"{ROUNDING:g}", "resampling": "unit mean"}

    removal: Removal = field(default_factory=Fill)
    reading: Literal["all", "share"] = "all"
    unit: Unit = field(default_factory=Patch)
    steps: Steps = "each"
    output: Output = "probability"
    ties: Ties = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps, f"steps of {self.card.name}")
        if self.steps == "adaptive" or (isinstance(self.steps, tuple) and len(self.steps) < 2):
            raise InvalidValueError(f"steps of monotonicity are a number, 'each' or two fractions, got {self.steps!r}")

    @property
    def questions(self) -> tuple[Trajectory, ...]:
        # Shown in increasing order of relevance is removed in decreasing order, read backwards
        return (Trajectory(self.removal, "morf", self.steps, self.ties, self.unit),)

    def curve(self, case: Case) -> Curve:
        return case.curve(self.questions[0], self.output).backwards()

    def __call__(self, case: Case) -> Tensor:
        curve = self.curve(case)
        kept = (curve.values.diff(dim=1) >= -ROUNDING).double()
        if self.reading == "all":
            return kept.amin(1)
        if curve.evaluated is None:
            return kept.mean(1)
        real = (curve.evaluated[:, 1:] & curve.evaluated[:, :-1]).double()
        return (kept * real).sum(1) / real.sum(1)
