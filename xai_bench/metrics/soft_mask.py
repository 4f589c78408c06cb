"""The map as a soft mask: what average drop, increase in confidence, average gain and ADCC have in common."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from xai_bench.engine import Case, Masks
from xai_bench.errors import UnsupportedError
from xai_bench.metrics.metric import Metric
from xai_bench.metrics.reasons import Reasons, combined
from xai_bench.removal import Fill, Removal
from xai_bench.types import Keep, Maps, Output

Scaling = Literal["minmax", "positive", "positive_minmax", "absolute", "none"]
EXEMPT = {
    "monotone": "the map's values are the mask",
    "perfect": "a map that shows nearly everything changes nothing",
}


def mask(maps: Maps, scaling: Scaling) -> Keep:
    """The maps between 0 and 1; all 0 where that is impossible (`unmaskable` says why).

    `minmax`: (L - min) / (max - min), so that the lowest value is hidden, negative or not. `positive`: max(0, L) / max.
    `positive_minmax`: max(0, L) by its own minimum and maximum, so that a map above 0 everywhere hides its lowest
    value. `absolute`: |L| by its own minimum and maximum. `none`: the map is a mask already.
    """
    return scaled(maps, scaling).float()


def scaled(maps: Maps, scaling: Scaling) -> Float64[Tensor, "B H W"]:
    """The same before it is rounded, so that values that differ stay apart."""
    if scaling == "none":
        return maps.double().nan_to_num(0.0, 0.0, 0.0).clamp(0, 1)
    values = _shifted(maps.double(), scaling)
    return (values / values.amax((1, 2), keepdim=True)).nan_to_num(0.0, 0.0, 0.0)


def _shifted(maps: Tensor, scaling: Scaling) -> Tensor:
    """The maps with what is to be hidden at 0."""
    values = maps.clamp(min=0) if scaling.startswith("positive") else maps.abs() if scaling == "absolute" else maps
    if scaling == "positive":
        return values
    return values - values.amin((1, 2), keepdim=True)


def unmaskable(maps: Maps, scaling: Scaling) -> Reasons:
    """Why a map that is finite and not constant is no mask, "" where it is one."""
    low, high = (part.tolist() for part in (maps.amin((1, 2)), maps.amax((1, 2))))
    if scaling == "none":
        return tuple(
            "" if least >= 0 and most <= 1 else "map is not within [0, 1]"
            for least, most in zip(low, high, strict=True)
        )
    if scaling.startswith("positive"):
        return tuple("" if most > 0 else "map has no positive part" for most in high)
    if scaling == "absolute":
        same = (maps.abs().amin((1, 2)) == maps.abs().amax((1, 2))).tolist()
        return tuple("magnitude of the map is constant" if flat else "" for flat in same)
    return ("",) * len(maps)


@dataclass(frozen=True)
class SoftMask(Masks):
    """Each image under its own map."""

    removal: Removal
    scaling: Scaling = "minmax"

    def keep(self, case: Case, row: int) -> Tensor:
        return mask(case.maps[row : row + 1], self.scaling)


@dataclass(frozen=True)
class SoftMasked(Metric):
    """A metric of what the model says of the image under its own map.

    The mask mixes the image with what the removal puts in its place: with `Fill("mean")` it is the product of map and
    normalised image, as the libraries have it; with `Fill("black")` the product of map and RGB image.
    """

    facts: ClassVar = {"unit": "pixel", "mask": "soft", "resampling": "none"}

    removal: Removal = field(default_factory=Fill)
    scaling: Scaling = "minmax"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.removal.soft:
            raise UnsupportedError(
                f"metric {self.card.name!r} needs a removal that knows soft masks, got "
                f"{self.removal.card.name!r}, which knows only hidden (0) and visible (1)"
            )

    @property
    def questions(self) -> tuple[SoftMask, ...]:
        return (SoftMask(self.removal, self.scaling),)

    def undefined(self, case: Case) -> Reasons:
        return combined(super().undefined(case), unmaskable(case.maps, self.scaling))

    def shown(self, case: Case, output: Output) -> Float64[Tensor, " B"]:
        """The output of each image under its map."""
        return case.look(self.questions[0], output)[:, 0]


def relative_drop(clean: Tensor, shown: Tensor) -> Tensor:
    """How much of the output is lost, max(0, p(x) - p(x L)) / p(x); nan where the clean output is not positive."""
    return ((clean - shown).clamp(min=0) / clean).where(clean > 0, torch.nan)
