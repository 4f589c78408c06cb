"""Guided backpropagation: the gradient, of which only positive parts pass an activation."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.adapters import VisionModel
from xai_bench.explainers.explainer import Explainer
from xai_bench.explainers.gradient.colours import Colours, reduced
from xai_bench.explainers.gradient.rectified import rectified, unfit
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class GuidedBackprop(Explainer):
    """The gradient with respect to the image, whose negative parts are stopped where they come back to an activation.

    At a ReLU: its slope times the positive part of the gradient at its output, which is the paper's equation. At every
    other activation (ReLU6, leaky ReLU, ELU, SiLU, GELU, Hardswish ...) the same product with its own slope, which is
    ours, since the paper knows the ReLU alone. It does not matter how a model calls them. Norms, attention, pools and
    gates keep their derivative. A model with parts that are not known is refused by name. On a deep model it shows
    edges of the image more than the class (Adebayo et al. 2018).
    """

    card: ClassVar = ExplainerCard(
        "guided_backprop",
        source="Springenberg et al. 2015, arXiv:1412.6806, section 3.4; for activations other than ReLU ours",
        summary="gradient whose negative parts are stopped at each activation",
        family="gradient",
        passes="1 F + 1 B",
    )

    colours: Colours = "max"

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:
        return reduced(rectified("guided_backprop", model, images, targets, sloped=True), self.colours)

    def unfit(self, model: VisionModel) -> str:
        return unfit("guided_backprop", model)
