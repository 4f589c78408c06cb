"""Faithfulness estimate: does the relevance of each unit follow the drop of the output without it?"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.engine import Case, Masks, Patch, Unit
from xai_bench.metrics.correlation import Similarity
from xai_bench.metrics.subset_correlation import SubsetCorrelation
from xai_bench.metrics.subsets import EachAlone
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard, Output

MOST = 10_000  # units; each is a forward pass and a mask in memory


@dataclass(frozen=True)
class FaithfulnessEstimate(SubsetCorrelation):
    """Correlation over all units of the map's sum in a unit with the drop of the output when it alone is removed.

    Undefined for a map that is constant or not finite, and where all sums or all drops are equal (one unit only).
    Alvarez-Melis & Jaakkola 2018, section 5 (faithfulness), there for tables; the units and the mean colour are ours.
    """

    card: ClassVar = MetricCard(
        "faithfulness_estimate",
        source="Alvarez-Melis & Jaakkola 2018, arXiv:1806.07538",
        summary="correlation of each unit's relevance with the drop of the output without it",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=-1.0,
        high=1.0,
        family="faithfulness",
        degree=0,
        exempt={"monotone": "the map's values are added up"},
    )

    removal: Removal = field(default_factory=Fill)
    unit: Unit = field(default_factory=Patch)
    output: Output = "probability"
    similarity: Similarity = "pearson"

    @property
    def questions(self) -> tuple[Masks, ...]:
        return (EachAlone(self.removal, self.unit),)

    def unfit(self, model: VisionModel) -> str:
        units = self.unit.split(torch.zeros(1, 3, *model.input_size)).width
        if units > MOST:
            return (
                f"metric 'faithfulness_estimate' removes each of {units} units of unit {self.unit.card.name!r} alone, "
                f"and more than {MOST} are not allowed; use larger units"
            )
        return super().unfit(model)

    def errors(self, case: Case) -> Tensor | None:  # noqa: ARG002
        """None: every unit is looked at, and nothing is drawn."""
        return None
