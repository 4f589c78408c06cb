"""Pointing game: does the most relevant pixel lie on the object?"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from xai_bench.engine import Case, Ties
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.metric import Metric
from xai_bench.types import Box, MetricCard


@dataclass(frozen=True)
class PointingGame(Metric):
    """1 where some pixel of the region lies closer than `tolerance` pixels to the most relevant one, else 0.

    With tolerance 0 the pixel itself must lie on the region. Hits are counted per image. `at="original"` resizes the
    map bilinearly to the image's original size first and takes the region from the boxes, where there are boxes.
    Undefined without a region, for a region that covers the image, and for a map that is constant or not finite.
    Source: Zhang et al. 2016 (excitation backprop); distance rule (squared distance strictly below tolerance squared)
    as in TorchRay, whose protocol also takes the mean over classes instead of over images.
    """

    card: ClassVar = MetricCard(
        "pointing_game",
        source="Zhang et al. 2016, arXiv:1608.00507; distance rule of TorchRay",
        summary="share of images whose most relevant pixel lies on the object",
        needs=frozenset({"maps", "ranking", "regions"}),
        better="higher",
        low=0.0,
        high=1.0,
        family="localisation",
    )
    facts: ClassVar = {"unit": "image", "region": "union", "distance": "strictly below", "resampling": "bilinear"}

    tolerance: float | int = 15  # pixels
    at: Literal["image", "original"] = "image"
    ties: Ties = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.tolerance >= 0:
            raise InvalidValueError(f"tolerance is a distance in pixels of at least 0, got {self.tolerance}")

    def __call__(self, case: Case) -> Tensor:
        return torch.tensor([self._hit(*sample) for sample in self._samples(case)], dtype=torch.float64)

    def _hit(self, point: tuple[int, int], region: Tensor) -> bool:
        rows, columns = region.nonzero(as_tuple=True)
        squared = (rows - point[0]) ** 2 + (columns - point[1]) ** 2
        return bool(((squared < self.tolerance**2) | (squared == 0)).any())

    def _samples(self, case: Case) -> Iterator[tuple[tuple[int, int], Tensor]]:
        """The most relevant pixel (row, column) and the region of each image."""
        batch, lots = case.batch, case.scene.noise("peak").uniform(1)[:, 0].tolist()
        assert batch.regions is not None
        for index, (relevance, region) in enumerate(zip(case.maps, batch.regions, strict=True)):
            if batch.ignore is not None:  # pixels that count neither way cannot be pointed at
                relevance = relevance.masked_fill(batch.ignore[index], -math.inf)  # noqa: PLW2901
            if self.at == "original" and batch.sizes:
                size, boxes = batch.sizes[index], batch.boxes[index] if batch.boxes else ()
                relevance = F.interpolate(relevance[None, None], size, mode="bilinear")[0, 0]  # noqa: PLW2901
                region = _original(region, boxes, size)  # noqa: PLW2901
            yield self._peak(relevance, lots[index]), region

    def _peak(self, relevance: Tensor, lot: float) -> tuple[int, int]:
        """Row and column of the highest pixel.

        A map upsampled from cells is flat between the outer cells' centres and the border, so a peak there is a tie
        that the first pixel would always move to the border.
        """
        tied = (relevance == relevance.max()).nonzero()
        place = {"first": 0, "last": len(tied) - 1, "random": int(lot * len(tied))}[self.ties] if len(tied) else 0
        row, column = tied[place].tolist() if len(tied) else (0, 0)
        return row, column


def _original(region: Tensor, boxes: tuple[Box, ...], size: tuple[int, int]) -> Tensor:
    """The region in original pixels: the boxes filled in, else the resized mask."""
    if not boxes:
        return F.interpolate(region[None, None].float(), size, mode="nearest-exact")[0, 0] > 0
    rows = torch.arange(size[0], device=region.device)[:, None]
    columns = torch.arange(size[1], device=region.device)[None]
    inside = [(columns >= b.x0) & (columns < b.x1) & (rows >= b.y0) & (rows < b.y1) for b in boxes]
    return torch.stack(inside).any(0)
