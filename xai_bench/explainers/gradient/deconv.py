"""Deconvolution: the gradient, in whose place an activation passes the positive part alone."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.adapters import VisionModel
from xai_bench.explainers.explainer import Explainer
from xai_bench.explainers.gradient.colours import Colours, reduced
from xai_bench.explainers.gradient.rectified import rectified, unfit
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class Deconv(Explainer):
    """The gradient with respect to the image, where each activation passes its positive part, whatever its own input.

    Max pooling keeps its switches: the gradient goes to the place of the maximum. The rule of the ReLU is that of every
    other activation too, which is ours; norms, attention and gates keep their derivative. A model with parts that are
    not known is refused by name. Grows with depth, since no activation ever closes.
    """

    card: ClassVar = ExplainerCard(
        "deconv",
        source="Zeiler & Fergus 2014, arXiv:1311.2901, section 2.1; for activations other than ReLU ours",
        summary="gradient whose positive parts alone pass each activation, even a closed one",
        family="gradient",
        passes="1 F + 1 B",
    )

    colours: Colours = "max"

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:
        return reduced(rectified("deconv", model, images, targets, sloped=False), self.colours)

    def unfit(self, model: VisionModel) -> str:
        return unfit("deconv", model)
