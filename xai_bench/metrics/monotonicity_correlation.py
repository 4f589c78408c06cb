"""Monotonicity as a correlation: whether the units with the most relevance are those the output depends on most."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.engine import Case, Patch, Unit
from xai_bench.engine.totals import stacked
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.correlation import spearman
from xai_bench.metrics.metric import Metric
from xai_bench.metrics.subsets import EachAlone
from xai_bench.removal import PixelRemoval
from xai_bench.seeding import Noise
from xai_bench.types import Card, Images, MetricCard, Output

SOURCE = "Nguyen & Martinez 2020, arXiv:2007.07584"


@dataclass(frozen=True)
class AnyColour(PixelRemoval):
    """One random colour per image in the place of removed pixels: the draw of this number."""

    card: ClassVar[Card] = Card("any_colour", source=SOURCE, summary="removed pixels take one random colour")

    draw: int = 0

    def prepare(self, model: VisionModel, images: Images, noise: Noise) -> Tensor:  # noqa: ARG002
        """The colour, uniform in [0, 1]^3, (B, 3, 1, 1)."""
        colours = Noise(noise.seed, f"{noise.purpose}/{self.draw}", noise.ids).uniform(3)
        return colours[:, :, None, None].to(images)


@dataclass(frozen=True)
class MonotonicityCorrelation(Metric):
    """Spearman correlation over units of |relevance| with the mean squared change of the output under random colours.

    A unit's relevance is the sum of |map| over it. The change is that of f(x) when the unit alone takes a random
    colour, `samples` draws, the same colours for all units and explainers; dividing by f(x)^2, as the paper does,
    leaves ranks as they are.
    Undefined for a map that is constant or not finite, or that gives all units the same; where no unit changes the
    output more than another; and for an image of one unit.

    Source: Nguyen & Martinez 2020, "On quantitative aspects of model interpretability" (monotonicity).
    Patches of 16 pixels, 10 draws and uniform colours are ours.
    """

    card: ClassVar = MetricCard(
        "monotonicity_correlation",
        source=SOURCE,
        summary="Spearman correlation of |relevance| of units with the change of the output when one is redrawn",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=-1.0,
        high=1.0,
        family="faithfulness",
        degree=0,
        exempt={
            "monotone": "relevance is summed over units",
            "perfect": "random colours change the output otherwise than removal does",
        },
    )
    facts: ClassVar = {"draws": "uniform colours", "ties": "mean rank", "resampling": "unit sum of magnitudes"}

    unit: Unit = field(default_factory=Patch)
    samples: int = 10
    output: Output = "probability"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 1:
            raise InvalidValueError(f"samples of monotonicity_correlation must be at least 1, got {self.samples}")

    @property
    def questions(self) -> tuple[EachAlone, ...]:
        return tuple(EachAlone(AnyColour(draw), self.unit) for draw in range(self.samples))

    def undefined(self, case: Case) -> tuple[str, ...]:
        known = super().undefined(case)
        return tuple(
            reason or _degenerate(*pair)
            for reason, pair in zip(known, zip(*self._pairs(case), strict=True), strict=True)
        )

    def _pairs(self, case: Case) -> tuple[list[Tensor], list[Tensor]]:
        """Relevance of the units, and how much the output depends on each, image after image."""
        counts, partition = case.partition(self.unit).counts, case.partition(self.unit)
        clean = case.scene.output(self.output)[:, None]
        changes = [(case.look(question, self.output) - clean) ** 2 for question in self.questions]
        dependence = torch.stack(changes).mean(0)
        relevance = [partition.sums(row, each[None])[0] for row, each in enumerate(case.maps.abs().double())]
        return (
            [each[:count].cpu() for each, count in zip(relevance, counts, strict=True)],
            [each[:count] for each, count in zip(dependence, counts, strict=True)],
        )

    def __call__(self, case: Case) -> Tensor:
        return spearman(*map(stacked, self._pairs(case)))


def _degenerate(relevance: Tensor, dependence: Tensor) -> str:
    if len(relevance) < 2:
        return "image is one unit"
    if relevance.amax() == relevance.amin():
        return "relevance of all units is equal"
    return "all changes of the output are equal" if dependence.amax() == dependence.amin() else ""
