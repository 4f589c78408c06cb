"""Pixel flipping: the mean output while the most relevant pixels are flipped, step by step."""

from dataclasses import dataclass, field
from typing import ClassVar

from xai_bench.metrics.removal_curve import Area, AreaUnderCurve, Ends
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class PixelFlipping(AreaUnderCurve):
    """Mean output over the points of a curve along which the most relevant pixels are flipped first.

    The unaltered image does not count. It is `deletion` without its first point and without its trapezoids; the 28
    steps, the mean colour and the probability are ours (Bach et al. flip black and white and read the classifier's own
    output). Undefined for a map that is constant or not finite.
    `pixel_flipping@quantus` gives the `return_auc_per_sample` of Quantus 0.6.0 on RGB images when its map is repeated
    over the three channels, no two pixels tie, and `features_in_step` is 3 times the pixels of a step: 672 for the 224
    pixels here. Its area takes the points as 1 apart, so it grows with their number.
    """

    card: ClassVar = MetricCard(
        "pixel_flipping",
        source="Bach et al. 2015, PLoS ONE 10(7) e0130140, 'pixel-flipping'; Samek et al. 2017, arXiv:1509.06321",
        summary="mean output as the most relevant pixels are flipped first",
        needs=frozenset({"maps", "ranking"}),
        better="lower",
        low=0.0,
        high=1.0,
        family="faithfulness",
        degree=1,
    )
    protocols: ClassVar = {
        "quantus": {"removal": Fill("image_min"), "steps": "224 units", "ties": "first", "area": "trapezoid_dx1"},
    }
    walked: ClassVar = "morf"
    facts: ClassVar = {"order": "morf"}

    removal: Removal = field(default_factory=Fill)
    ends: Ends = "no_clean"
    area: Area = "mean"
