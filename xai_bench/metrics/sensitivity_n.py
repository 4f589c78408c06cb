"""Sensitivity-n: faithfulness correlation for several sizes of the subsets."""

from dataclasses import dataclass, field
from typing import ClassVar

from xai_bench.engine import Masks, Pixel, Unit
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.correlation import Similarity
from xai_bench.metrics.subset_correlation import SubsetCorrelation
from xai_bench.metrics.subsets import RandomSubsets, check_samples, check_size
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard, Output


@dataclass(frozen=True)
class SensitivityN(SubsetCorrelation):
    """Pearson correlation of the map's sum over n random units with the drop without them, mean over several n.

    Undefined for a map that is constant or not finite, and where all sums or all drops of an n are equal.
    Ancona et al. 2018, section 4.2: zero baseline, 100 subsets for each n. The paper draws a curve over n from 1 to
    about 80 % of the features; the sizes here, and their mean as one number, are ours.
    """

    card: ClassVar = MetricCard(
        "sensitivity_n",
        source="Ancona, Ceolini, Oztireli & Gross 2018, arXiv:1711.06104, section 4.2",
        summary="correlation of the map's sum over n random units with the drop of the output, mean over n",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=-1.0,
        high=1.0,
        family="faithfulness",
        degree=0,
        exempt={"monotone": "the map's values are added up"},
    )
    facts: ClassVar = {**SubsetCorrelation.facts, "similarity": "pearson"}

    removal: Removal = field(default_factory=Fill)
    unit: Unit = field(default_factory=Pixel)
    sizes: tuple[float | int, ...] = (0.1, 0.2, 0.4, 0.8)  # below 1 a share of the units, from 1 on their number
    samples: int = 100
    output: Output = "probability"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sizes or len(set(self.sizes)) < len(self.sizes):
            raise InvalidValueError(f"sizes of sensitivity_n must be one or more different ones, got {self.sizes}")
        for size in self.sizes:
            check_size(size, "each of the sizes of sensitivity_n")
        check_samples(self.samples, self.card.name, 3)

    @property
    def similarity(self) -> Similarity:
        return "pearson"

    @property
    def questions(self) -> tuple[Masks, ...]:
        return tuple(RandomSubsets(self.removal, self.unit, size, self.samples) for size in self.sizes)
