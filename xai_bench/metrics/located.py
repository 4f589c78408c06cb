"""Maps against the object's region: which pixels count, and why an image has no such score."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float64

from xai_bench.engine import Case
from xai_bench.engine.ranking import unrankable
from xai_bench.metrics.metric import Metric
from xai_bench.metrics.reasons import Reasons, combined, unless
from xai_bench.metrics.soft_mask import Scaling, scaled, unmaskable
from xai_bench.types import Batch, Maps, Regions


def counted(batch: Batch) -> Regions:
    """The pixels that count: all but the ignored ones."""
    everywhere = torch.ones_like(batch.images[:, 0], dtype=torch.bool)
    return everywhere if batch.ignore is None else ~batch.ignore


def region(batch: Batch) -> Regions:
    """The region's pixels that count."""
    assert batch.regions is not None
    return batch.regions & counted(batch)


class Located(Metric):
    """A metric of how a map lies on the region; undefined where no pixel of the region, or each that counts, is in it.

    A map that varies without knowing where the object is scores about the region's share of the image, or what the
    metric says; `random` and `centre` in the same table show it.
    """

    facts: ClassVar = {"unit": "pixel", "region": "union", "ignored": "count neither way", "resampling": "none"}

    def undefined(self, case: Case) -> Reasons:
        known = super().undefined(case)
        if case.batch.regions is None:
            return known
        inside = region(case.batch)
        return combined(
            known,
            unless(inside.flatten(1).any(1), "every pixel of the region is ignored"),
            unless((counted(case.batch) & ~inside).flatten(1).any(1), "region covers all pixels that count"),
        )


@dataclass(frozen=True)
class Overlapping(Located):
    """A metric of the map as a mask in [0, 1], scaled by the pixels that count (`soft_mask.scaled`)."""

    scaling: Scaling = "minmax"

    def undefined(self, case: Case) -> Reasons:
        maps = _settled(case)
        return combined(super().undefined(case), unrankable(maps), unmaskable(maps, self.scaling))

    def mask(self, case: Case) -> Float64[torch.Tensor, "B H W"]:
        """The scaled maps; what stands at ignored pixels means nothing."""
        return scaled(_settled(case), self.scaling)


def _settled(case: Case) -> Maps:
    """The maps with ignored pixels at the lowest value that counts, so that they decide no scale."""
    outside = ~counted(case.batch)
    lowest = case.maps.masked_fill(outside, torch.inf).amin((1, 2), keepdim=True)
    return case.maps.where(~outside, lowest)
