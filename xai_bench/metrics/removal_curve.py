"""What the metrics that summarise a removal curve have in common: which points count, and what becomes of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from xai_bench.engine import Case, Curve, Order, Pixel, Steps, Ties, Trajectory, Unit, adaptive, check_steps, stride
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.metric import CurveMetric
from xai_bench.removal import Blur, Removal
from xai_bench.types import Output

Reading = Literal["logit", "probability", "log_odds", "margin", "hit"]  # hit: 1 where the target is predicted, else 0
Ends = Literal["both", "no_clean", "no_removed", "neither"]  # of whole image and nothing left, which count
Area = Literal["trapezoid", "mean", "trapezoid_dx1", "trapezoid_per_point"]
TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SHARES = ("probability", "hit")  # readings in [0, 1]


def complement(fractions: tuple[float | int, ...]) -> tuple[float, ...]:
    """Fractions shown for fractions removed, or the other way; rounded, so that 1 - 0.9 is the 0.1 of others."""
    return tuple(round(1.0 - fraction, 12) for fraction in reversed(fractions))


def along(case: Case, trajectory: Trajectory, reading: Reading) -> Curve:
    """The reading at every point of a trajectory."""
    if reading != "hit":
        return case.curve(trajectory, reading)
    curve = case.curve(trajectory, None)
    return curve._replace(values=(curve.values == case.scene.targets.cpu()[:, None]).double())


def counted(curve: Curve, ends: Ends) -> Curve:
    """The curve (over the fraction removed) without the ends that do not count.

    Where images have different numbers of points, what lies beyond an image's own repeats its nearest point.
    """
    if ends == "both":
        return curve
    if curve.fractions.ndim == 1:
        there = _counts(curve.fractions, ends)
        return Curve(curve.fractions[there], curve.values[:, there])
    assert curve.evaluated is not None, "images with fractions of their own say which points are theirs"
    seen = curve.evaluated & _counts(curve.fractions, ends)
    points, first = torch.arange(seen.shape[1]), seen.int().argmax(1, keepdim=True)
    last = len(points) - 1 - seen.flip(1).int().argmax(1, keepdim=True)
    nearest = points.maximum(first).minimum(last)
    return Curve(curve.fractions.gather(1, nearest), curve.values.gather(1, nearest), seen)


def area(curve: Curve, rule: Area = "trapezoid") -> Tensor:
    """The curve as one number, (B,) float64.

    `trapezoid`: area over the fractions, divided by their range, which is 1 where both ends count; `mean` of the
    points; `trapezoid_dx1`: area as if the points were 1 apart; `trapezoid_per_point`: that divided by their number.
    """
    if rule == "trapezoid":
        width = curve.fractions[..., -1] - curve.fractions[..., 0]
        return torch.trapezoid(curve.values, curve.fractions, dim=1) / width
    seen = torch.ones_like(curve.values, dtype=torch.bool) if curve.evaluated is None else curve.evaluated
    total, points = (curve.values * seen).sum(1), seen.sum(1)
    if rule == "mean":
        return total / points
    spread = total - (curve.values[:, 0] + curve.values[:, -1]) / 2
    return spread / points if rule == "trapezoid_per_point" else spread


@dataclass(frozen=True)
class AreaUnderCurve(CurveMetric):
    """Area under the output over the fraction removed or shown, in `steps` equal steps with both ends.

    `steps="adaptive"` evaluates each image's curve where it bends, with an estimate of the area's error; a list of
    `steps` holds the fractions themselves, removed or shown. As libraries count: `"10 floor"` removes or shows
    floor(i P / 10) of P units, `"20 ceil"` ceil(P / 20) at a time, `"50 units"` 50 at a time and `"each"` one.
    `output="hit"` is 1 where the target is predicted. `ends` says which of the whole image and nothing left count.
    """

    walked: ClassVar[Order]  # the order of removal

    removal: Removal = field(default_factory=Blur)
    steps: Steps = 28
    output: Reading = "probability"
    ties: Ties = "random"
    unit: Unit = field(default_factory=Pixel)
    ends: Ends = "both"
    area: Area = "trapezoid"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps, f"steps of {self.card.name}")
        name = self.card.name
        if self.steps == "adaptive" and (self.output == "hit" or self.ends != "both" or self.area != "trapezoid"):
            raise InvalidValueError(
                f"adaptive steps of {name} go with both ends, the trapezoid and an output that bends, got "
                f"ends={self.ends}, area={self.area}, output={self.output}"
            )
        least = "1 point" if self._least == 1 else f"{self._least} points"
        if not stride(self.steps, 1) and self._points() < self._least:
            raise InvalidValueError(
                f"area {self.area!r} of {name} takes {least} or more, but steps={self.steps} with "
                f"ends={self.ends} leave {self._points()}"
            )

    @property
    def fixed(self) -> Mapping[str, str]:
        fractions = "equal" if isinstance(self.steps, int) else "as steps say"
        fractions = adaptive.RULE if self.steps == "adaptive" else fractions
        resampling = "none" if self.unit == Pixel() else "unit mean"
        return {"fractions": fractions, **self.facts, "resampling": resampling}

    @property
    def bounds(self) -> tuple[float, float]:
        if self.output not in SHARES:
            return -math.inf, math.inf
        if self.area != "trapezoid_dx1":
            return 0.0, 1.0
        return 0.0, math.inf if stride(self.steps, 1) else self._points() - 1.0

    @property
    def reads(self) -> Output | None:
        return None if self.output == "hit" else self.output

    @property
    def removed(self) -> Steps:
        """The steps as the trajectory takes them."""
        return self.steps

    @property
    def trajectory(self) -> Trajectory:
        """The altered images of the curve."""
        guide = self.reads if self.steps == "adaptive" else None
        return Trajectory(self.removal, self.walked, self.removed, self.ties, self.unit, guide)

    @property
    def questions(self) -> tuple[Trajectory, ...]:
        return (self.trajectory,)

    def undefined(self, case: Case) -> tuple[str, ...]:
        reasons = super().undefined(case)
        if not stride(self.steps, 1):
            return reasons
        short = (self._points(units) < self._least for units in case.partition(self.unit).counts)
        return tuple(
            reason or ("image has too few units" if few else "") for reason, few in zip(reasons, short, strict=True)
        )

    def curve(self, case: Case) -> Curve:
        return counted(along(case, self.trajectory, self.output), self.ends)

    def errors(self, case: Case) -> Tensor | None:
        return self.curve(case).error

    def __call__(self, case: Case) -> Tensor:
        return area(self.curve(case), self.area)

    @property
    def _least(self) -> int:
        return 1 if self.area == "mean" else 2

    def _points(self, units: int = 0) -> int:
        """How many points of an image of so many units count."""
        if self.steps == "adaptive":
            return len(adaptive.FIRST)
        if isinstance(self.steps, tuple):
            return int(_counts(torch.tensor(self.removed, dtype=torch.float64), self.ends).sum())
        size = stride(self.steps, units)
        steps = -(-units // size) if size else int(str(self.steps).split()[0])
        return steps - 1 + {"both": 2, "no_clean": 1, "no_removed": 1, "neither": 0}[self.ends]


def _counts(removed: Tensor, ends: Ends) -> Tensor:
    """Which fractions removed count, bool."""
    clean, gone = removed == 0, removed == 1
    return ~((clean & (ends in ("no_clean", "neither"))) | (gone & (ends in ("no_removed", "neither"))))
