"""Mask leakage: does the outline of what was removed tell the model what was there?

The object is removed with its own mask, and something else with the same mask shifted cyclically by half the image in
both axes: an area of the same size and shape, in another place. What the model still knows of the object when it is
gone comes from the surroundings, which are the same for every removal, or from the mask's outline.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from xai_bench.engine import Case, Curve, Masks
from xai_bench.metrics.metric import Metric
from xai_bench.metrics.reasons import Reasons, combined, unless
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard, Output, Regions

SOURCE = "Balasubramanian & Feizi 2023, arXiv:2211.14646, experiment on mask shapes"
FACTS = {"unit": "region", "shift": "cyclic by floor(H / 2) and floor(W / 2)"}


@dataclass(frozen=True)
class WithoutObject(Masks):
    """Each image without its object, then without the same shape in another place."""

    removal: Removal

    def keep(self, case: Case, row: int) -> Tensor:
        regions = case.batch.regions
        assert regions is not None
        return ~torch.stack([regions[row], moved(regions)[row]])


def moved(regions: Regions) -> Regions:
    """The same shapes elsewhere."""
    height, width = regions.shape[1:]
    return regions.roll((height // 2, width // 2), (1, 2))


@dataclass(frozen=True)
class _Leakage(Metric):
    facts: ClassVar = FACTS

    removal: Removal = field(default_factory=Fill)

    @property
    def questions(self) -> tuple[WithoutObject, ...]:
        return (WithoutObject(self.removal),)

    def undefined(self, case: Case) -> Reasons:
        regions = case.batch.regions
        assert regions is not None
        same = (regions == moved(regions)).flatten(1).all(1)
        return combined(super().undefined(case), unless(~same, "shifted region is the region itself"))


@dataclass(frozen=True)
class MaskLeakage(_Leakage):
    """Accuracy without the object divided by accuracy without the same shape elsewhere, over a set of images.

    Only images that are classified correctly when clean count, the others are undefined; so is the ratio where no
    image is right under the shifted mask. Lower is better between removals of one model on one set of images: some of
    the ratio is what the surroundings tell, which no removal can take away, so 0 is not to be expected and two models
    cannot be compared.
    Source: the authors' notebook on mask shapes (shift of 112 at 224 pixels); the direction is our reading.
    """

    card: ClassVar = MetricCard(
        "mask_leakage",
        source=SOURCE,
        summary="accuracy without the object over accuracy without the same shape elsewhere",
        needs=frozenset({"regions", "labels"}),
        better="lower",
        low=0.0,
        family="removal",
        scope="set",
        reduction="ratio",
    )

    def undefined(self, case: Case) -> Reasons:
        return combined(super().undefined(case), wrong_when_clean(case))

    def curve(self, case: Case) -> Curve:
        """Whether the image is right without the object (at 0), and without the same shape elsewhere (at 1)."""
        assert case.batch.labels is not None
        predicted = case.look(self.questions[0], None)
        right = predicted == case.batch.labels.cpu()[:, None]
        return Curve(torch.tensor([0.0, 1.0], dtype=torch.float64), right.double())

    def __call__(self, case: Case) -> Tensor:
        return self.curve(case).values[:, 0]


@dataclass(frozen=True)
class LeakageGap(_Leakage):
    """Output without the object minus output without the same shape elsewhere, one number per image.

    Mask leakage image by image, so that removals can be compared in pairs; lower is better, as there.
    Source: ours.
    """

    card: ClassVar = MetricCard(
        "leakage_gap",
        source="ours, after " + SOURCE,
        summary="output without the object minus output without the same shape elsewhere",
        needs=frozenset({"regions"}),
        better="lower",
        family="removal",
        degree=1,
    )

    output: Output = "probability"

    @property
    def bounds(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.output == "probability" else (-math.inf, math.inf)

    def __call__(self, case: Case) -> Tensor:
        without, elsewhere = case.look(self.questions[0], self.output).unbind(1)
        return without - elsewhere


def wrong_when_clean(case: Case) -> Reasons:
    """The reason for images that are classified wrongly when nothing is removed."""
    assert case.batch.labels is not None
    return unless(case.scene.clean.argmax(1) == case.batch.labels, "clean image is classified wrongly")
