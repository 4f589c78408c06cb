"""VarGrad: the variance of the gradient over noisy copies of the image."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.adapters import VisionModel
from xai_bench.explainers.gradient.noisy import NoisyGradients
from xai_bench.explainers.gradient.smoothgrad import EXEMPT
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class VarGrad(NoisyGradients):
    """Variance of the gradient over noisy copies (divided by `samples`, as in captum), summed over colours.

    Never negative: it shows where the gradient is unsteady. Zero everywhere for a linear model, with one sample and
    with no noise.
    """

    card: ClassVar = ExplainerCard(
        "vargrad",
        source="Adebayo et al. 2018, arXiv:1810.03307, section 2",
        summary="variance of the gradient over noisy copies",
        family="gradient",
        passes="samples F + samples B",
        exempt=EXEMPT,
    )

    def __call__(self, model: VisionModel, images: Images, targets: Targets, noise: Noise) -> Maps:  # type: ignore[override]
        mean, squares = self.moments(model, images, targets, noise)
        return (squares - mean.square()).clamp(min=0).sum(1).float()  # rounding may leave a little below 0
