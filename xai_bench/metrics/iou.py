"""IoU: how far does the map, cut at a threshold, overlap the region?"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from xai_bench.engine import Case
from xai_bench.engine.ranking import ranks
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.located import Overlapping, counted, region
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class Iou(Overlapping):
    """Intersection over union of the region and the pixels whose relevance is above a threshold.

    `threshold` is a number in [0, 1), applied to the map as a mask in [0, 1] (`scaling`), strictly above; `best`, the
    best of all such thresholds for each image; or `area`: as many of the most relevant pixels as the region has, equal
    ones chosen at random. Ignored pixels neither count nor decide the scale. Undefined without a region, for one that
    covers all pixels that count, and for a map that is constant, not finite or no mask under `scaling`.
    On a region of share a, a random map (uniform between its ends) scores about a / (1 + a) at 0.5, a / (2 - a) with
    `area`, and about a, or a little more, with `best`, which looks at the answer: it is a bound on what a threshold
    could reach, never a result beside numbers at a fixed one.
    Source: Rao et al. 2023 (Model Guidance, arXiv:2303.11932) for 0.5 after min-max; `@model_guidance` takes the
    positive part first, as its code does, where a map without one counts as 0 and is undefined here.
    """

    card: ClassVar = MetricCard(
        "iou",
        source="Rao et al. 2023 (Model Guidance), arXiv:2303.11932",
        summary="overlap of the map's most relevant pixels with the object",
        needs=frozenset({"maps", "ranking", "regions"}),
        better="higher",
        low=0.0,
        high=1.0,
        family="localisation",
        exempt={"monotone": "the map's values are cut at a threshold"},
    )
    protocols: ClassVar = {"model_guidance": {"scaling": "positive_minmax"}}

    threshold: Literal["best", "area"] | float | int = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.threshold, str) and not 0 <= self.threshold < 1:
            raise InvalidValueError(
                f"threshold of metric iou must be 'best', 'area' or a number in [0, 1), got {self.threshold:g}"
            )

    def __call__(self, case: Case) -> Tensor:
        inside, mask = (part.flatten(1) for part in (region(case.batch), self.mask(case)))
        mask = mask.masked_fill(~counted(case.batch).flatten(1), -torch.inf)  # beyond the last pixel
        if self.threshold == "best":
            return _best(mask, inside)
        if self.threshold == "area":
            lots = case.scene.lots("rank", case.partition().counts)
            return _iou(ranks(mask, "random", lots) < inside.sum(1, keepdim=True), inside)
        return _iou(mask > self.threshold, inside)


def _iou(chosen: Tensor, inside: Tensor) -> Tensor:
    return (chosen & inside).sum(1).double() / (chosen | inside).sum(1)


def _best(mask: Tensor, inside: Tensor) -> Tensor:
    """The highest IoU of {mask > t} over all t in [0, 1): each such set ends where the value changes, above 0."""
    values, order = mask.sort(dim=1, descending=True)
    hits = inside.gather(1, order).cumsum(1).double()
    chosen = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    below = torch.nn.functional.pad(values[:, 1:], (0, 1), value=-torch.inf)
    reached = hits / (chosen + inside.sum(1, keepdim=True) - hits)
    return reached.where((values > below) & (values > 0), 0.0).amax(1)
