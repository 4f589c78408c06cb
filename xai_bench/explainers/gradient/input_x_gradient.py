"""Input times gradient: the first-order share of each pixel in the score."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.adapters import VisionModel
from xai_bench.explainers.explainer import OnePass
from xai_bench.explainers.gradient.baselines import Baseline, baseline
from xai_bench.explainers.look import IMAGE, Seen, Sight
from xai_bench.types import ExplainerCard, Maps


@dataclass(frozen=True)
class InputXGradient(OnePass):
    """(image - baseline) times the gradient of the target's score, summed over colours. Signed.

    With a black baseline it is the image in [0, 1] times its gradient; with `mean` it is what a library gives that
    multiplies the normalised image by the gradient with respect to it. A pixel of the baseline's colour gets 0, so an
    image that is its own baseline has a map of zeros. For a linear model it is exact: it sums to the difference of the
    scores.
    """

    card: ClassVar = ExplainerCard(
        "input_x_gradient",
        source="Shrikumar et al. 2016, arXiv:1605.01713; Ancona et al. 2018, arXiv:1711.06104, section 2",
        summary="image minus baseline, times the gradient of the score",
        family="gradient",
        passes="1 F + 1 B",
    )

    baseline: Baseline = "black"

    def sights(self, model: VisionModel) -> frozenset[Sight]:  # noqa: ARG002
        return frozenset({IMAGE})

    def read(self, seen: Seen) -> Maps:
        assert seen.image_gradient is not None
        difference = seen.images - baseline(self.baseline, seen.model, seen.images)
        return (difference * seen.image_gradient).sum(1)
