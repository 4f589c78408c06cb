"""A linear model of what the segments of an image do to the output."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.engine import Quickshift, Unit, lime
from xai_bench.errors import InvalidValueError
from xai_bench.explainers.asked import Explained
from xai_bench.explainers.perturbation.altered import Part, Perturbation, shown, spread, stream
from xai_bench.removal import Fill, Removal
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class LIME(Perturbation):
    """The weight of a pixel's segment in a ridge regression of the output on which segments are visible.

    Each segment is visible with probability one half; samples count by their nearness to the whole image. Signed.
    Constant where the output never changes. With `removal=LayerMasking()` it is the LIME of Balasubramanian & Feizi
    2023 (arXiv:2211.14646), whose segments are `Quickshift(2.0)`, `Patch(16)` and `Slic(250)`.

    Source: Ribeiro et al. 2016; kernel, ridge and segments as in lime_image, which fills with each segment's own mean
    colour and draws 1000.
    """

    card: ClassVar = ExplainerCard(
        "lime",
        source="Ribeiro et al. 2016, arXiv:1602.04938",
        summary="weight of the pixel's segment in a linear model of the output",
        family="perturbation",
        passes="samples F",
        exempt={"flip": "draws which segments are visible; superpixels of the mirrored image are others"},
    )

    unit: Unit = field(default_factory=Quickshift)
    samples: int = 512
    removal: Removal = field(default_factory=Fill)
    output: Explained = "probability"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 2:
            raise InvalidValueError(f"samples of explainer lime must be at least 2, got {self.samples}")

    def __call__(self, model: VisionModel, images: Images, targets: Targets, noise: Noise) -> Maps:  # type: ignore[override]
        partition = self.unit.split(images)
        chosen = [
            lime.drawn(stream(noise, "segments", row), self.samples, count)
            for row, count in enumerate(partition.counts)
        ]

        def keep(part: Part) -> Tensor:
            return shown(partition, part, chosen[part.row], images)

        values = self.outputs(model, images, targets, noise, [self.samples] * len(images), keep)
        weights = [lime.regressed(some, value) for some, value in zip(chosen, values, strict=True)]
        return spread(partition, weights, images)
