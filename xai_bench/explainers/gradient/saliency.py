"""Saliency: the size of the gradient with respect to the image."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.adapters import VisionModel
from xai_bench.explainers.explainer import OnePass
from xai_bench.explainers.gradient.colours import Colours, reduced
from xai_bench.explainers.look import IMAGE, Seen, Sight
from xai_bench.types import ExplainerCard, Maps


@dataclass(frozen=True)
class Saliency(OnePass):
    """How much the target's score changes with a pixel: the largest |d score / d colour| of its three colours.

    Never negative: it says where the score reacts, not which way. `colours="sum"` keeps the signs, `"norm"` is the
    gradient's length. With respect to the image in [0, 1], so where the model's deviations differ between colours they
    are weighed otherwise than by a gradient after normalisation. Constant only where the model is blind to the image.
    """

    card: ClassVar = ExplainerCard(
        "saliency",
        source="Simonyan, Vedaldi & Zisserman 2014, arXiv:1312.6034, section 3",
        summary="size of the gradient of the score at each pixel",
        family="gradient",
        passes="1 F + 1 B",
    )

    colours: Colours = "max"

    def sights(self, model: VisionModel) -> frozenset[Sight]:  # noqa: ARG002
        return frozenset({IMAGE})

    def read(self, seen: Seen) -> Maps:
        assert seen.image_gradient is not None
        return reduced(seen.image_gradient, self.colours)
