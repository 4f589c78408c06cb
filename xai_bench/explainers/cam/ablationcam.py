"""Ablation-CAM: a layer's activations, weighted by what the output loses without each."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from xai_bench.adapters import TargetLayer, VisionModel
from xai_bench.engine import Engine
from xai_bench.explainers.asked import Explained, plain, read
from xai_bench.explainers.cam.layered import Cells, Layered, positive, weighted
from xai_bench.explainers.look import Seen, Sight, look
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class AblationCAM(Layered):
    """Positive part of sum_c a_c A_c, a_c = the output less the output when channel c of the layer is off in all cells.

    Off is 0, as in the paper, or the channel's least activation in the image where that is negative (a transformer, a
    linear bottleneck): with 0 there, channels that speak by being negative turn the map upside down. pytorch-grad-cam
    takes 1e7 below the least, which no layer behind survives. The paper divides a_c by the output, a factor of the
    whole map that turns it upside down where the output is negative; it is left out. A transformer's class token keeps
    the channel. No gradients, but one pass for each channel, from the image on. Constant, and so undefined for metrics
    that rank, where every weighted sum is negative.
    """

    card: ClassVar = ExplainerCard(
        "ablationcam",
        source="Desai & Ramaswamy 2020, 'Ablation-CAM', WACV, equations 3 and 4",
        summary="target layer's activations weighted by what the output loses without each, positive part",
        family="cam",
        passes="(C + 1) F",
    )

    output: Explained = "logit"
    relu: bool = True

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:
        sights = [Sight("layer", name, gradient=False) for name in self.places]
        seen = look(plain(model), images, targets, sights)
        return self.joined([self._cells(model, seen, targets, name) for name in self.places], images)

    def _cells(self, model: VisionModel, seen: Seen, targets: Targets, name: str) -> Cells:
        activations = seen.activations(name)
        whole = read(model, seen.logits, targets, self.output)
        ablated = self._ablated(model, seen.images, targets, model.layer_at(name), activations.shape[1])
        return positive(weighted(activations, whole[:, None] - ablated), relu=self.relu)

    def _ablated(
        self, model: VisionModel, images: Images, targets: Targets, layer: TargetLayer, channels: int
    ) -> Float[Tensor, "B C"]:
        """The output without each channel: chunks of passes that cross the border between images."""
        engine = Engine(plain(model))
        found = []
        pairs = torch.arange(len(images) * channels, device=images.device)
        size = (images.shape[2], images.shape[3])
        for part in torch.split(pairs, engine.fit(size)):
            rows = part // channels
            with engine.ready() as eyes, _without(eyes.module, layer, part % channels, size):
                logits = engine.logits(engine.normalised(images[rows]))
            found.append(read(model, logits, targets[rows], self.output))
        return torch.cat(found).view(len(images), channels)


@contextmanager
def _without(
    module: nn.Module, layer: TargetLayer, channels: Int64[Tensor, " n"], size: tuple[int, int]
) -> Iterator[None]:
    """The module with one channel of the layer off in each image, of this height and width."""

    def ablate(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        if not layer.layout.fits(output):
            return output
        ablated = output.clone()
        grid, rows = layer.grid(ablated, size), torch.arange(len(channels), device=channels.device)
        grid[rows, channels] = grid[rows, channels].amin((1, 2), keepdim=True).clamp(max=0)
        return ablated

    hook = module.get_submodule(layer.name).register_forward_hook(ablate)
    try:
        yield
    finally:
        hook.remove()
