"""Score-CAM: a layer's activations, weighted by what the model says of the image behind each as a mask."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch

from xai_bench.adapters import VisionModel
from xai_bench.explainers.asked import Explained
from xai_bench.explainers.cam.layered import Cells, Grid, Layered, minmax, positive, weighted
from xai_bench.explainers.look import Sight, look
from xai_bench.explainers.perturbation.altered import Part, Perturbation
from xai_bench.explainers.upsample import upsample
from xai_bench.removal import Fill, Removal
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Keep, Maps, Targets


@dataclass(frozen=True)
class ScoreCAM(Layered, Perturbation):
    """Positive part of sum_c a_c A_c, a = the softmax over the channels of the output with channel c as the mask.

    A mask is the channel, upsampled and scaled to [0, 1]; what it does not keep is removed: with `fill` by the model's
    mean colour the mask multiplies the normalised image, as in the paper. The paper takes the output of the removed
    image off each, which the softmax does not see. A channel that is the same everywhere keeps nothing. No gradients,
    but one pass for each channel. Constant, and so undefined for metrics that rank, where every weighted sum is
    negative. pytorch-grad-cam upsamples the masks with aligned corners; here, as everywhere, cell centres are aligned.
    """

    card: ClassVar = ExplainerCard(
        "scorecam",
        source="Wang et al. 2020, arXiv:1910.01279, equations 7 and 8, algorithm 1",
        summary="target layer's activations weighted by the output with each as a mask, positive part",
        family="cam",
        passes="(C + 1) F",
    )

    removal: Removal = field(default_factory=Fill)
    output: Explained = "logit"
    relu: bool = True

    def unfit(self, model: VisionModel) -> str:
        return Layered.unfit(self, model) or Perturbation.unfit(self, model)

    def __call__(self, model: VisionModel, images: Images, targets: Targets, noise: Noise) -> Maps:  # type: ignore[override]
        sights = [Sight("layer", name, gradient=False) for name in self.places]
        seen = look(model, images, targets, sights)
        cells = [self._cells(model, images, targets, noise, seen.activations(name)) for name in self.places]
        return self.joined(cells, images)

    def _cells(self, model: VisionModel, images: Images, targets: Targets, noise: Noise, activations: Grid) -> Cells:
        def mask(part: Part) -> Keep:
            channels = activations[part.row, part.start : part.stop]
            return minmax(upsample(channels, images[:1].expand(len(channels), -1, -1, -1)))

        counts = (activations.shape[1],) * len(images)
        scores = torch.stack(self.outputs(model, images, targets, noise, counts, mask))
        return positive(weighted(activations, scores.softmax(1).to(activations)), relu=self.relu)
