"""Inside minus outside: is the model surer of what the map points at than of all the rest?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from xai_bench.engine import Case, Masks, Ties
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.metric import Metric
from xai_bench.metrics.reasons import Reasons, combined
from xai_bench.removal import Blur, Removal
from xai_bench.types import MetricCard, Output

Share = Literal["region"] | float


def count(case: Case, row: int, share: Share) -> int:
    """How many pixels of an image are the most relevant ones."""
    if isinstance(share, float):
        return math.floor(share * case.batch.images[row, 0].numel() + 0.5)
    assert case.batch.regions is not None
    return int(case.batch.regions[row].sum())


@dataclass(frozen=True)
class TopAndRest(Masks):
    """The most relevant pixels alone, then all the others alone."""

    removal: Removal
    share: Share
    ties: Ties

    def keep(self, case: Case, row: int) -> Tensor:
        ranks = case.ranks(self.ties)[row].view(case.batch.images.shape[2:])
        top = ranks < count(case, row, self.share)
        return torch.stack([top, ~top])


@dataclass(frozen=True)
class InsideMinusOutside(Metric):
    """Output where only the map's most relevant pixels are seen, minus the output where only the others are.

    As many pixels are inside as the region has (`share="region"`), or a fixed share of the image. Undefined without a
    region (where the share is the region's), where the share rounds to no pixel or to all, and for a map that is
    constant or not finite.
    Source: ours; CAMAL (Hundal et al. 2026, arXiv:2605.08325) claims faithfulness without a definition that we found.
    """

    card: ClassVar = MetricCard(
        "inside_minus_outside",
        source="ours, after CAMAL (Hundal et al. 2026, arXiv:2605.08325)",
        summary="output of the most relevant pixels alone minus output of all others alone",
        needs=frozenset({"maps", "ranking", "regions"}),
        better="higher",
        family="faithfulness",
        degree=1,
    )
    facts: ClassVar = {"unit": "pixel", "resampling": "none"}

    removal: Removal = field(default_factory=Blur)
    share: Share = "region"
    output: Output = "probability"
    ties: Ties = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.share, float) and not 0 < self.share < 1:
            raise InvalidValueError(
                f"share of metric inside_minus_outside must be 'region' or between 0 and 1, got {self.share:g}"
            )

    @property
    def needs(self) -> frozenset[str]:
        return self.card.needs if self.share == "region" else self.card.needs - {"regions"}

    @property
    def fixed(self) -> Mapping[str, str]:
        return {**self.facts, "pixels": "as many as the region has" if self.share == "region" else "floor(f P + 1/2)"}

    @property
    def bounds(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.output == "probability" else (-math.inf, math.inf)

    @property
    def questions(self) -> tuple[TopAndRest, ...]:
        return (TopAndRest(self.removal, self.share, self.ties),)

    def undefined(self, case: Case) -> Reasons:
        reasons, (height, width) = super().undefined(case), case.batch.images.shape[2:]
        if self.share == "region":
            return reasons
        some = 0 < count(case, 0, self.share) < height * width if len(case.batch) else True
        return combined(reasons, ("" if some else "share is no pixel or all",) * len(case.batch))

    def __call__(self, case: Case) -> Tensor:
        inside, outside = case.look(self.questions[0], self.output).unbind(1)
        return inside - outside
