"""Comprehensiveness: how much of the output goes with the most relevant part of the image."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.engine import Trajectory
from xai_bench.metrics.bins import SOURCE, Bins
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class Comprehensiveness(Bins):
    """Mean fall of the output over `bins`: f(x) - f(x without its most relevant 1, 5, 10, 20, 50 %).

    Undefined for a map that is constant (it orders nothing) or not finite.

    Source: DeYoung et al. 2020 (ERASER), the mean over bins as in their code; the printed formula also counts an
    empty bin, which adds 0 and makes it 5/6 of ours. The paper deletes words; the mean colour is
    the nearest thing for pixels (ours): it is zero to the model, where a blur would leave a part of the evidence.
    """

    card: ClassVar = MetricCard(
        "comprehensiveness",
        source=SOURCE,
        summary="mean fall of the output when the most relevant 1, 5, 10, 20, 50 % are removed",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=-1.0,
        high=1.0,
        family="faithfulness",
        degree=1,
    )
    facts: ClassVar = {**Bins.facts, "order": "morf"}

    @property
    def questions(self) -> tuple[Trajectory, ...]:
        return (Trajectory(self.removal, "morf", self.bins, self.ties, self.unit),)
