"""SaCo: do groups of pixels with more saliency cost the output more?"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from xai_bench.engine import Case, Ties
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.metric import Metric
from xai_bench.metrics.reasons import combined, unless
from xai_bench.metrics.subset_correlation import drops
from xai_bench.metrics.subsets import RankGroups
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard, Output


@dataclass(frozen=True)
class Saco(Metric):
    """Share of saliency differences between groups of pixels that the drops of the output agree with, in [-1, 1].

    Pixels in order of saliency form `groups` equal groups; s is a group's saliency, d the drop of the output when it
    alone is removed. Each pair i < j weighs s_i - s_j, with a minus where d_i < d_j; the sum is divided by that of the
    absolute values. Undefined for a map that is constant (the denominator is 0) or not finite, and for fewer pixels
    than groups. s is the group's mean, which is its total where all groups have the same size.
    Wu et al. 2024, algorithm 1; ten groups and the mean colour from memory of the paper.
    """

    card: ClassVar = MetricCard(
        "saco",
        source="Wu, Kang, Tang, Hong & Yan 2024 (SaCo), arXiv:2404.01415",
        summary="share of saliency differences between groups of pixels that drops of the output agree with",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=-1.0,
        high=1.0,
        family="faithfulness",
        degree=0,
        exempt={"monotone": "differences of saliency are the weights"},
    )
    facts: ClassVar = {"unit": "pixel", "saliency": "group mean", "resampling": "none"}

    removal: Removal = field(default_factory=Fill)
    groups: int = 10
    output: Output = "probability"
    ties: Ties = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups < 2:
            raise InvalidValueError(f"groups of saco must be at least 2, got {self.groups}")

    @property
    def questions(self) -> tuple[RankGroups, ...]:
        return (RankGroups(self.removal, self.groups, self.ties),)

    def undefined(self, case: Case) -> tuple[str, ...]:
        few = case.batch.images[0, 0].numel() < self.groups
        known = tuple(reason or ("fewer pixels than groups" if few else "") for reason in super().undefined(case))
        found = drops(case, self.questions[0], self.output)
        return combined(known, unless(found.amax(1) > found.amin(1), "all drops are equal"))

    def __call__(self, case: Case) -> Tensor:
        masks = self.questions[0]
        edges = torch.tensor(masks.edges(case.batch.images[0, 0].numel()))
        saliency = case.hidden(masks) / edges.diff()
        return coefficient(saliency, drops(case, masks, self.output))


def coefficient(saliency: Tensor, drop: Tensor) -> Tensor:
    """Signed over absolute sum of s_i - s_j over the pairs i < j of each row, (B, K) each."""
    first, second = torch.triu_indices(saliency.shape[1], saliency.shape[1], 1)
    difference = saliency[:, first] - saliency[:, second]
    signed = torch.where(drop[:, first] >= drop[:, second], difference, -difference)
    return signed.sum(1) / difference.abs().sum(1)
