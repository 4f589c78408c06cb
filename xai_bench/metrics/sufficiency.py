"""Sufficiency: how much of the output is missing when only the most relevant part of the image is there."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.engine import Trajectory
from xai_bench.metrics.bins import SOURCE, Bins
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class Sufficiency(Bins):
    """Mean fall of the output over `bins`: f(x) - f(only the most relevant 1, 5, 10, 20, 50 % of x); low is good.

    Undefined for a map that is constant (it orders nothing) or not finite.

    Source: DeYoung et al. 2020 (ERASER); see `comprehensiveness` for bins and removal. With a blur, what is
    not among the relevant pixels would still be seen, so that every map would look more sufficient.
    Not the `Sufficiency` of Quantus, which compares the classes of images with similar maps (Dasgupta et al. 2022).
    """

    card: ClassVar = MetricCard(
        "sufficiency",
        source=SOURCE,
        summary="mean fall of the output when only the most relevant 1, 5, 10, 20, 50 % remain",
        needs=frozenset({"maps", "ranking"}),
        better="lower",
        low=-1.0,
        high=1.0,
        family="faithfulness",
        degree=1,
    )
    facts: ClassVar = {**Bins.facts, "order": "lerf"}

    @property
    def questions(self) -> tuple[Trajectory, ...]:
        removed = tuple(round(1 - share, 12) for share in reversed(self.bins))
        return (Trajectory(self.removal, "lerf", removed, self.ties, self.unit),)
