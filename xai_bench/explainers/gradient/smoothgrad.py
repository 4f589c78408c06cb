"""SmoothGrad: the gradient averaged over noisy copies of the image."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.adapters import VisionModel
from xai_bench.explainers.gradient.colours import Colours, reduced
from xai_bench.explainers.gradient.noisy import NoisyGradients
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Maps, Targets

EXEMPT = {"flip": "draws noise at each pixel"}


@dataclass(frozen=True)
class SmoothGrad(NoisyGradients):
    """Saliency of the mean gradient of noisy copies: gradients are averaged with their signs, colours reduced after.

    Never negative, as saliency, unless `colours="sum"`. A library that takes absolute values before averaging (captum's
    default of `Saliency` inside a noise tunnel) gives another map. With `sigma=0` it is saliency itself.
    """

    card: ClassVar = ExplainerCard(
        "smoothgrad",
        source="Smilkov et al. 2017, arXiv:1706.03825, section 2; 10 to 20 % noise and 50 samples as in section 3",
        summary="size of the gradient averaged over noisy copies",
        family="gradient",
        passes="samples F + samples B",
        exempt=EXEMPT,
    )

    colours: Colours = "max"

    def __call__(self, model: VisionModel, images: Images, targets: Targets, noise: Noise) -> Maps:  # type: ignore[override]
        mean, _ = self.moments(model, images, targets, noise)
        return reduced(mean, self.colours)
