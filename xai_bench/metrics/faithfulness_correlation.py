"""Faithfulness correlation: does the map's sum over random subsets follow the drop of the output?"""

from dataclasses import dataclass, field
from typing import ClassVar

from xai_bench.engine import Masks, Pixel, Unit
from xai_bench.metrics.correlation import Similarity
from xai_bench.metrics.subset_correlation import SubsetCorrelation
from xai_bench.metrics.subsets import RandomSubsets, check_samples, check_size
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard, Output


@dataclass(frozen=True)
class FaithfulnessCorrelation(SubsetCorrelation):
    """Correlation of the map's sum over random subsets of `size` units with the drop of the output without them.

    Undefined for a map that is constant or not finite, and where all sums or all drops are equal.
    Bhatt et al. 2020, definition 3. The size and number of subsets are Quantus' defaults; the mean colour is ours.
    """

    card: ClassVar = MetricCard(
        "faithfulness_correlation",
        source="Bhatt, Weller & Moura 2020, arXiv:2005.00631, definition 3",
        summary="correlation of the map's sum over random subsets with the drop of the output",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=-1.0,
        high=1.0,
        family="faithfulness",
        degree=0,
        exempt={"monotone": "the map's values are added up"},
    )

    removal: Removal = field(default_factory=Fill)
    unit: Unit = field(default_factory=Pixel)
    size: int | float = 224  # below 1 a share of the units, from 1 on their number
    samples: int = 100
    output: Output = "probability"
    similarity: Similarity = "pearson"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size(self.size, f"size of {self.card.name}")
        check_samples(self.samples, self.card.name, 3)

    @property
    def questions(self) -> tuple[Masks, ...]:
        return (RandomSubsets(self.removal, self.unit, self.size, self.samples),)
