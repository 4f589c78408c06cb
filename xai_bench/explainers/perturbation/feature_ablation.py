"""Each unit of the image is removed once."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.engine import Slic, Unit
from xai_bench.explainers.asked import Explained
from xai_bench.explainers.perturbation.altered import Part, Perturbation, spread
from xai_bench.removal import Fill, Removal
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class FeatureAblation(Perturbation):
    """How far the output falls when a pixel's unit, a superpixel or a cell of a grid, is removed.

    Signed: below 0 where the output rises. Constant where the output does not change. Source: the leave-one-out
    importance of Li et al. 2016, arXiv:1612.08220; captum's FeatureAblation.
    """

    card: ClassVar = ExplainerCard(
        "feature_ablation",
        source="Li et al. 2016, arXiv:1612.08220; captum",
        summary="fall of the output when the pixel's unit is removed",
        family="perturbation",
        passes="(n_units + 1) F",
        exempt={"flip": "superpixels of the mirrored image are others"},
    )

    unit: Unit = field(default_factory=Slic)
    removal: Removal = field(default_factory=Fill)
    output: Explained = "probability"

    def __call__(self, model: VisionModel, images: Images, targets: Targets, noise: Noise) -> Maps:  # type: ignore[override]
        partition = self.unit.split(images)
        units = torch.arange(partition.width, device=images.device)

        def keep(part: Part) -> Tensor:  # after the last unit none is removed
            removed = torch.arange(part.start, part.stop, device=images.device)[:, None] == units
            return ~partition.pixels(part.row, removed)

        counts = [count + 1 for count in partition.counts]
        values = self.outputs(model, images, targets, noise, counts, keep)
        return spread(partition, [value[-1] - value[:-1] for value in values], images)
