"""Soft IoU: how far do map and region overlap, without a threshold?"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from xai_bench.engine import Case
from xai_bench.metrics.located import Overlapping, counted, region
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class SoftIou(Overlapping):
    """Sum of min(A, M) over sum of max(A, M): A the map as a mask in [0, 1], M the region, ignored pixels left out.

    `scaling` makes the mask (`minmax`: (L - min) / (max - min)); a region is 0 or 1, so the product form A M over
    A + M - A M is the same number. Undefined without a region, for one that covers all pixels that count, and for a
    map that is constant, not finite or no mask under `scaling`.
    A random map, uniform between its ends, scores about a / (1 + a) on a region of share a. A soft map of exactly the
    object scores its mean value there, so compare maps of one kind, or take `iou`.
    Source: the Ruzicka (weighted Jaccard) similarity; as a measure of alignment our reading of CAMAL (Hundal et al.
    2026), whose own definition we did not find.
    """

    card: ClassVar = MetricCard(
        "soft_iou",
        source="Ruzicka similarity; for alignment ours, after CAMAL (Hundal et al. 2026, arXiv:2605.08325)",
        summary="overlap of the map, as a soft mask, with the object",
        needs=frozenset({"maps", "ranking", "regions"}),
        better="higher",
        low=0.0,
        high=1.0,
        family="localisation",
        exempt={"monotone": "the map's values are the mask"},
    )

    def __call__(self, case: Case) -> Tensor:
        counts, mask, inside = counted(case.batch), self.mask(case), region(case.batch).double()
        both, either = torch.minimum(mask, inside), torch.maximum(mask, inside)
        return (both * counts).sum((1, 2)) / (either * counts).sum((1, 2))
