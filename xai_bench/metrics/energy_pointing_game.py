"""Energy pointing game: how much of the relevance lies on the object?"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from xai_bench.engine import Case
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.located import Located, counted, region
from xai_bench.metrics.reasons import Reasons, combined, unless
from xai_bench.types import MetricCard

PARTS = {
    "positive": "no positive part",
    "positive_minmax": "a positive part that is constant",
    "minmax": "no value above its lowest",
    "absolute": "no value but 0",
}


@dataclass(frozen=True)
class EnergyPointingGame(Located):
    """Relevance inside the region over all relevance: the positive part by default, ignored pixels left out.

    `part`: `positive` is max(0, L); `positive_minmax` the same less its own lowest value, as Score-CAM scales its maps;
    `minmax` is L less its lowest value; `absolute` is |L|. Totals below `least` count as none. Without a total the
    score is undefined, or 0 with `without="zero"`, which a mean cannot tell from relevance beside the object. Undefined
    without a region, for one that covers all pixels that count, and for a map that is not finite.
    A positive constant map scores the region's share of the image, and a random one that on average.
    Source: Wang et al. 2020 (Score-CAM); the region is the data's, where the paper fills in a box.
    `@score_cam` scales the map as its code does. `@model_guidance` is the figure of Rao et al. 2023: an image without
    positive relevance counts as 0. Quantus' `AttributionLocalisation` is the default (plus 1e-9 below the line), its
    `RelevanceMassAccuracy` without `normalise` is `absolute`.
    """

    card: ClassVar = MetricCard(
        "energy_pointing_game",
        source="Wang et al. 2020 (Score-CAM), arXiv:1910.01279",
        summary="share of the positive relevance that lies on the object",
        needs=frozenset({"maps", "regions"}),
        better="higher",
        low=0.0,
        high=1.0,
        family="localisation",
        exempt={"monotone": "the map's values are added up"},
    )
    protocols: ClassVar = {
        "score_cam": {"part": "positive_minmax"},
        "model_guidance": {"least": 1e-7, "without": "zero"},
    }

    part: Literal["positive", "positive_minmax", "minmax", "absolute"] = "positive"
    least: float | int = 0.0  # in units of the map, summed over pixels
    without: Literal["undefined", "zero"] = "undefined"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.least >= 0:
            raise InvalidValueError(f"least of metric energy_pointing_game must be 0 or more, got {self.least}")

    def undefined(self, case: Case) -> Reasons:
        known = combined(super().undefined(case), unless(case.maps.isfinite().flatten(1).all(1), "map is not finite"))
        if self.without == "zero":
            return known
        return combined(known, unless(self._some(self._total(case)), f"map has {PARTS[self.part]}"))

    def __call__(self, case: Case) -> Tensor:
        inside, total = (self._energy(case) * region(case.batch)).sum((1, 2)), self._total(case)
        return (inside / total).where(self._some(total), 0.0)

    def _some(self, total: Tensor) -> Tensor:
        return (total > 0) & (total >= self.least)

    def _total(self, case: Case) -> Tensor:
        return self._energy(case).sum((1, 2))

    def _energy(self, case: Case) -> Tensor:
        """The part of the map that is added up, (B, H, W) float64, 0 at ignored pixels."""
        counts, values = counted(case.batch), case.maps.double()
        if self.part == "absolute":
            values = values.abs()
        elif self.part != "minmax":
            values = values.clamp(min=0)
        if self.part.endswith("minmax"):
            values = values - values.masked_fill(~counts, float("inf")).amin((1, 2), keepdim=True)
        return values.where(counts, 0.0)
