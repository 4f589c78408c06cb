"""MuFidelity: does the map's sum over random cells of a grid rank as the drop of the output does?"""

from dataclasses import dataclass, field
from typing import ClassVar

from xai_bench.engine import Cells, Masks, Unit
from xai_bench.metrics.correlation import Similarity
from xai_bench.metrics.subset_correlation import SubsetCorrelation
from xai_bench.metrics.subsets import RandomSubsets, check_samples, check_size
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard, Output


@dataclass(frozen=True)
class MuFidelity(SubsetCorrelation):
    """Rank correlation of the map's sum over random subsets of a grid's cells with the drop of the output.

    Undefined for a map that is constant or not finite, and where all sums or all drops are equal.
    Bhatt et al. 2020, definition 3, on a grid as in Xplique, whose defaults these are (9 x 9 cells, 20 %, 200 subsets,
    0 after normalisation) but for the output, there the logit, and the draw: Xplique hides each cell with probability
    `size`, so that its subsets differ in size; here, as in the paper, all have the same.
    """

    card: ClassVar = MetricCard(
        "mu_fidelity",
        source="Bhatt, Weller & Moura 2020, arXiv:2005.00631, definition 3; Xplique's MuFidelity",
        summary="rank correlation of the map's sum over random grid cells with the drop of the output",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=-1.0,
        high=1.0,
        family="faithfulness",
        degree=0,
        exempt={"monotone": "the map's values are added up"},
    )
    facts: ClassVar = {**SubsetCorrelation.facts, "similarity": "spearman"}

    removal: Removal = field(default_factory=Fill)
    unit: Unit = field(default_factory=Cells)
    size: int | float = 0.2  # below 1 a share of the units, from 1 on their number
    samples: int = 200
    output: Output = "probability"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size(self.size, f"size of {self.card.name}")
        check_samples(self.samples, self.card.name, 3)

    @property
    def similarity(self) -> Similarity:
        return "spearman"

    @property
    def questions(self) -> tuple[Masks, ...]:
        return (RandomSubsets(self.removal, self.unit, self.size, self.samples),)
