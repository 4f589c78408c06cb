"""Guided Grad-CAM: guided backpropagation, seen where Grad-CAM looks."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.adapters import VisionModel
from xai_bench.explainers.cam.gradcam import GradCAM
from xai_bench.explainers.explainer import Explainer
from xai_bench.explainers.gradient.colours import Colours, reduced
from xai_bench.explainers.gradient.rectified import rectified, unfit
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class GuidedGradCAM(Explainer):
    """The product of guided backpropagation and Grad-CAM at the model's target layer, upsampled bilinearly.

    Zero, and so undefined for metrics that rank, where Grad-CAM is. Signs are those of guided backpropagation, and so
    there only with `colours="sum"`. Refuses what guided backpropagation refuses.
    """

    card: ClassVar = ExplainerCard(
        "guided_gradcam",
        source="Selvaraju et al. 2017, arXiv:1610.02391, section 3.2",
        summary="guided backpropagation times Grad-CAM",
        family="cam",
        passes="2 F + 2 B",
    )

    colours: Colours = "max"

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:
        guided = rectified("guided_gradcam", model, images, targets, sloped=True)
        return reduced(guided, self.colours) * GradCAM()(model, images, targets)

    def unfit(self, model: VisionModel) -> str:
        return unfit("guided_gradcam", model) or GradCAM().unfit(model)
