"""Minimal sufficient region: how small a part of the image, by relevance, is enough for the model's answer."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from xai_bench.engine import Case, Curve, Pixel, Ties, Trajectory, Unit, check_steps
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.metric import CurveMetric
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class MinimalSufficientRegion(CurveMetric):
    """Smallest share of the image, most relevant part first, at which the model predicts the target again.

    The shares tried are 0, 1/steps ... 1, or one unit after the other. `rule="stays"` asks for the smallest share from
    which on the target is predicted at all larger ones as well. With a `level` it is enough, and needed, that the
    target's probability is at least that share of its clean one. 0, whatever the map, where the bare substrate is taken
    for the target: the controls of a table show it.
    Undefined for a map that is constant or not finite, and, without a level, where the clean image is not predicted as
    the target: no share is known to be enough.

    Source: ours, after the smallest sufficient region of Dabkowski & Gal 2017 (arXiv:1705.07857) and the minimal
    sufficient pixels of MultEX (arXiv:2309.14309). The mean colour hides the rest, so that the region is alone.
    """

    card: ClassVar = MetricCard(
        "minimal_sufficient_region",
        source="ours, after Dabkowski & Gal 2017 and arXiv:2309.14309",
        summary="smallest share of the image, most relevant part first, that is predicted as the target",
        needs=frozenset({"maps", "ranking"}),
        better="lower",
        low=0.0,
        high=1.0,
        family="faithfulness",
    )
    facts: ClassVar = {"order": "morf shown", "ends": "both", "resampling": "none"}

    removal: Removal = field(default_factory=Fill)
    rule: Literal["first", "stays"] = "first"
    level: float | None = None  # of the clean probability; None: the target is predicted
    steps: int | Literal["each"] = 100
    unit: Unit = field(default_factory=Pixel)
    ties: Ties = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps, f"steps of {self.card.name}")
        if self.level is not None and not 0 < self.level <= 1:
            raise InvalidValueError(f"level of {self.card.name} must be in (0, 1], got {self.level:g}")

    @property
    def questions(self) -> tuple[Trajectory, ...]:
        return (Trajectory(self.removal, "lerf", self.steps, self.ties, self.unit),)

    def undefined(self, case: Case) -> tuple[str, ...]:
        known, right = super().undefined(case), (case.scene.clean.argmax(1) == case.scene.targets).tolist()
        missed = "" if self.level is not None else "clean image is not predicted as the target"
        return tuple(reason or ("" if good else missed) for reason, good in zip(known, right, strict=True))

    def curve(self, case: Case) -> Curve:
        """Whether each share that is shown is enough, 0 or 1."""
        curve = case.curve(self.questions[0], None if self.level is None else "probability").backwards()
        if self.level is None:
            enough = curve.values == case.scene.targets.cpu()[:, None]
        else:
            enough = curve.values >= self.level * case.scene.output("probability")[:, None]
        return curve._replace(values=enough.double())

    def __call__(self, case: Case) -> Tensor:
        curve = self.curve(case)
        enough = curve.values.bool()
        if self.rule == "stays":
            enough = enough.flip(1).cummin(1).values.flip(1)
        return _first(enough, curve.fractions.expand_as(curve.values))


def _first(enough: Bool[Tensor, "B S"], shares: Float64[Tensor, "B S"]) -> Float64[Tensor, " B"]:
    """The first share that is enough; nan where none is."""
    places = enough.int().argmax(1, keepdim=True)
    return shares.gather(1, places)[:, 0].where(enough.any(1), torch.nan)
