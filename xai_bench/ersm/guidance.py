"""Model Guidance: the losses on attention that CAMAL is compared with (Rao et al. 2023, arXiv 2303.11932).

Read from the authors' code: attention is resized to the image and meets the object pixel by pixel. There the images of
a batch are summed; here their mean is taken, so that a weight does not depend on the batch's size.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from xai_bench.catalogue import Catalogue
from xai_bench.ersm.camal import NOTHING, Attention, AttentionLoss, CamalLoss, Objects, PerImage
from xai_bench.types import Card

SOURCE = "Rao et al. 2023, arXiv:2303.11932"
LOWEST_LOG = -100  # of torch's binary cross-entropy


@dataclass(frozen=True)
class EnergyGuidance(AttentionLoss):
    """1 - the share of attention that lies on the object; 1 - what lies there, where there is next to none."""

    card: ClassVar = Card("energy", source=SOURCE, summary="share of attention that is not on the object")

    def each(self, attention: Attention, regions: Objects) -> PerImage:
        maps = _resized(attention, regions)
        total = maps.sum((1, 2))
        return 1 - (maps * regions).sum((1, 2)) / total.where(total >= NOTHING, 1)


@dataclass(frozen=True)
class L1Guidance(AttentionLoss):
    """Mean distance over pixels between attention over its maximum and the object's mask (GRADIA's)."""

    card: ClassVar = Card("l1", source=SOURCE, summary="mean distance between attention and mask")

    def each(self, attention: Attention, regions: Objects) -> PerImage:
        return (_resized(_peaked(attention), regions) - regions.to(attention.dtype)).abs().mean((1, 2))


@dataclass(frozen=True)
class PpceGuidance(AttentionLoss):
    """Per-pixel cross-entropy: the mean over the object of -log of attention over its maximum (HAICS's)."""

    card: ClassVar = Card("ppce", source=SOURCE, summary="cross-entropy of attention on the object")

    def each(self, attention: Attention, regions: Objects) -> PerImage:
        maps = _resized(_peaked(attention), regions)
        lit = maps.where(maps > 0, 1).log().clamp(min=LOWEST_LOG).where(maps > 0, LOWEST_LOG)
        return -(lit * regions).sum((1, 2)) / regions.sum((1, 2)).clamp(min=1)


@dataclass(frozen=True)
class RrrGuidance(AttentionLoss):
    """Sum over the pixels beside the object of the square of attention over its maximum (right for right reasons).

    A sum: its weight goes with the number of pixels.
    """

    card: ClassVar = Card("rrr", source=SOURCE, summary="squared attention beside the object")

    def each(self, attention: Attention, regions: Objects) -> PerImage:
        return (_resized(_peaked(attention), regions) ** 2 * ~regions).sum((1, 2))


def _peaked(attention: Attention) -> Attention:
    peak = attention.amax((1, 2), keepdim=True)
    return attention / peak.where(peak > 0, 1)


def _resized(attention: Attention, regions: Objects) -> Tensor:
    """At the image's resolution, as our explainers show maps."""
    return functional.interpolate(attention[:, None], regions.shape[1:], mode="bilinear", align_corners=False)[:, 0]


ATTENTION_LOSSES: Catalogue[AttentionLoss] = Catalogue(
    "attention loss",
    AttentionLoss,  # type: ignore[type-abstract]
    (CamalLoss, EnergyGuidance, L1Guidance, PpceGuidance, RrrGuidance),
)
