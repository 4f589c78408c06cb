"""Noise that knows nothing of model or image."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.adapters import VisionModel
from xai_bench.explainers.explainer import Explainer
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class Random(Explainer):
    """An independent uniform number at each pixel, the same for a sample at every call."""

    card: ClassVar = ExplainerCard(
        "random",
        source="control",
        summary="independent noise at each pixel",
        kind="control",
        family="control",
        exempt={"flip": "draws noise"},
    )

    def __call__(self, model: VisionModel, images: Images, targets: Targets, noise: Noise) -> Maps:  # type: ignore[override]  # noqa: ARG002
        return noise.uniform(*images.shape[2:]).to(images.device)
