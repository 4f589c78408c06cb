"""LIME alignment: do LIME's weights under a removal lie where the object is?"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from xai_bench.engine import Case
from xai_bench.engine.lime import Weights
from xai_bench.metrics.lime import SOURCE, LimeMetric
from xai_bench.metrics.reasons import Reasons, combined, unless
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class LimeAlignment(LimeMetric):
    """Cosine between LIME's segment weights and the object's share of the segments.

    g_i is the sum over the pixels of segment i of (mask - mean of the mask): large where a large segment is object.
    Undefined without a region, where every segment has the same share of it, and where the output never changes.
    The paper takes the classified-correctly images only; here the target's rule decides what is explained.
    Source: Balasubramanian & Feizi 2023, experiment with LIME: the defaults, with grey as the removal.
    """

    card: ClassVar = MetricCard(
        "lime_alignment",
        source=SOURCE,
        summary="cosine between LIME's segment weights under a removal and the object's segments",
        needs=frozenset({"regions"}),
        better="higher",
        low=-1.0,
        high=1.0,
        family="removal",
        degree=0,
    )

    def undefined(self, case: Case) -> Reasons:
        told = torch.tensor([bool(each.any()) for each in objects(self, case)])
        return combined(super().undefined(case), unless(told, "no segment tells the object from the rest"))

    def __call__(self, case: Case) -> Tensor:
        pairs = zip(self.weights(case), objects(self, case), strict=True)
        return torch.stack([torch.cosine_similarity(weights, known, 0, 0).clamp(-1, 1) for weights, known in pairs])


def objects(metric: LimeMetric, case: Case) -> list[Weights]:
    """Sum of (mask - mean of the mask) over each segment of each image, on the CPU.

    Whole numbers up to the last division, so that a segment with the mean share is at exactly 0.
    """
    assert case.batch.regions is not None
    partition, found = case.partition(metric.unit), []
    for row, region in enumerate(case.batch.regions.long()):
        objects, pixels = partition.sums(row, torch.stack([region, torch.ones_like(region)]))
        centred = objects * region.numel() - pixels * region.sum()
        found.append((centred.double() / region.numel())[: partition.counts[row]].cpu())
    return found
