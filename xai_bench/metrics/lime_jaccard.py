"""LIME Jaccard: do LIME's most important segments under a removal cover the object and nothing else?"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from xai_bench.engine import Case
from xai_bench.metrics.lime import SOURCE, TopSegments
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class LimeJaccard(TopSegments):
    """Overlap of the object and the union of the segments with the highest LIME weights: intersection over union.

    Undefined without a region, where the image has no more segments than are taken, and where the output never changes.
    Source: Balasubramanian & Feizi 2023, experiment with LIME: the defaults, with grey as the removal.
    """

    card: ClassVar = MetricCard(
        "lime_jaccard",
        source=SOURCE,
        summary="overlap of the object with LIME's highest segments under a removal",
        needs=frozenset({"regions"}),
        better="higher",
        low=0.0,
        high=1.0,
        family="removal",
        degree=0,
    )

    def __call__(self, case: Case) -> Tensor:
        regions = case.batch.regions
        assert regions is not None
        tops = torch.stack([self.pixels(case, row) for row in range(len(regions))])
        return (tops & regions).sum((1, 2)).double() / (tops | regions).sum((1, 2))
