"""SmoothGrad-squared: the squared gradient averaged over noisy copies of the image."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.adapters import VisionModel
from xai_bench.explainers.gradient.noisy import NoisyGradients
from xai_bench.explainers.gradient.smoothgrad import EXEMPT
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class SmoothGradSquared(NoisyGradients):
    """Mean square of the gradient over noisy copies, summed over colours. Never negative.

    The square of the mean gradient plus its variance, so it ranks as VarGrad does wherever noise outweighs the mean.
    """

    card: ClassVar = ExplainerCard(
        "smoothgrad_squared",
        source="Hooker et al. 2019 (ROAR), arXiv:1806.10758, section 3",
        summary="squared gradient averaged over noisy copies",
        family="gradient",
        passes="samples F + samples B",
        exempt=EXEMPT,
    )

    def __call__(self, model: VisionModel, images: Images, targets: Targets, noise: Noise) -> Maps:  # type: ignore[override]
        _, squares = self.moments(model, images, targets, noise)
        return squares.sum(1).float()
