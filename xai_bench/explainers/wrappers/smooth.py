"""The mean map of noisy copies of an image."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.adapters import VisionModel
from xai_bench.errors import InvalidValueError
from xai_bench.explainers.explainer import called
from xai_bench.explainers.wrappers.contrast import refuse_question
from xai_bench.explainers.wrappers.wrapper import Wrapper
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Maps, Regions, Targets


@dataclass(frozen=True)
class Smooth(Wrapper):
    """The mean of another explainer's maps over noisy copies of the image; the target stays the clean image's.

    The noise is Gaussian, independent at each pixel and colour, `sigma` in units of the range of colours, 1; copies are
    not clipped, as in the paper. `smoothgrad` is this of plain gradients. An explainer that draws random numbers draws
    others for each copy.
    """

    card: ClassVar = ExplainerCard(
        "smooth",
        source="Smilkov et al. 2017, arXiv:1706.03825, section 3.4, around any explainer",
        summary="mean map of noisy copies of the image",
        family="wrapper",
        passes="samples * inner",
        exempt={"flip": "draws noise"},
    )

    samples: int = 10
    sigma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_question(self, "put the question around it, or noisy copies are asked different ones")
        if self.samples < 1 or not 0 < self.sigma < float("inf"):
            raise InvalidValueError(
                f"smooth needs samples of at least 1 and a finite sigma above 0, got samples={self.samples}, "
                f"sigma={self.sigma:g}"
            )

    def __call__(  # type: ignore[override]
        self, model: VisionModel, images: Images, targets: Targets, noise: Noise, regions: Regions | None
    ) -> Maps:
        total = images.new_zeros(images[:, 0].shape)
        for sample in range(self.samples):
            drawn = Noise(noise.seed, f"{noise.purpose}/smooth/{sample}", noise.ids)
            noisy = images + self.sigma * drawn.normal(*images.shape[1:]).to(images.device)
            total += called(self.explainer, model, noisy, targets, drawn, regions).detach()
        return total / self.samples
