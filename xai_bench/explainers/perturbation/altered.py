"""What the explainers that alter the image share: the passes on altered images, a chunk at a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor
from torch.nn import functional as F

from xai_bench.adapters import VisionModel
from xai_bench.engine import Engine, Partition
from xai_bench.explainers.asked import Explained, plain, read
from xai_bench.explainers.explainer import Explainer
from xai_bench.removal import Removal, puts_pixels
from xai_bench.seeding import Noise
from xai_bench.types import Images, Logits, Targets

Outputs = Float64[Tensor, " S"]


class Part(NamedTuple):
    """Some of the altered images of one image."""

    row: int  # of the batch
    start: int
    stop: int


class Look(NamedTuple):
    """What the model said of a part, on the images' device."""

    part: Part
    keep: Tensor  # (n, H, W) bool, or float32 in [0, 1]
    values: Float64[Tensor, " n"]


Keep = Callable[[Part], Tensor]  # what remains visible, mask after mask; the same at every call


class Perturbation(Explainer):
    """An explainer that asks for the output of altered images."""

    removal: Removal
    output: Explained

    def unfit(self, model: VisionModel) -> str:
        return self.removal.unfit(plain(model))

    def looks(
        self,
        model: VisionModel,
        images: Images,
        targets: Targets,
        noise: Noise,
        counts: Sequence[int],
        keep: Keep,
    ) -> Iterator[Look]:
        """The output under each of the masks, of which image i has `counts[i]`.

        Chunks cross the border between images, and masks are made for a chunk, so that memory is that of one chunk.
        """
        onlooker = Onlooker(plain(model), images, self.removal, noise)
        for parts in chunks(counts, onlooker.engine.chunk):
            masks = [keep(part) for part in parts]
            rows = [part.row for part in parts for _ in range(part.stop - part.start)]
            values = read(model, onlooker.logits(parts, masks), targets[rows], self.output).double()
            said = torch.split(values, [len(mask) for mask in masks])
            yield from map(Look, parts, masks, said)

    def outputs(
        self,
        model: VisionModel,
        images: Images,
        targets: Targets,
        noise: Noise,
        counts: Sequence[int],
        keep: Keep,
    ) -> list[Outputs]:
        """The output under each mask of each image, on the CPU."""
        found: list[list[Tensor]] = [[] for _ in counts]
        for look in self.looks(model, images, targets, noise, counts, keep):
            found[look.part.row].append(look.values)
        return [torch.cat(values).cpu() for values in found]  # not before the last pass, which a copy would wait for


class Onlooker:
    """A model that looks at images of which a part remains."""

    def __init__(self, model: VisionModel, images: Images, removal: Removal, noise: Noise) -> None:
        self.images, self.removal = images, removal
        self.state = removal.prepare(model, images, stream(noise, "removal"))
        self.engine = Engine(model, fold=True)
        self.engine.fit((images.shape[2], images.shape[3]))
        self._puts_pixels = puts_pixels(removal)
        if self._puts_pixels:  # normalised once, not once per mask
            assert self.state is not None
            self._inputs, self._blank = self.engine.normalised(images), self.engine.normalised(self.state)

    def logits(self, parts: Sequence[Part], masks: Sequence[Tensor]) -> Logits:
        """Logits of all classes under the masks of these parts, (n, K)."""
        with self.engine.ready(self.removal) as eyes:
            if self._puts_pixels:
                altered = [self._altered(part.row, keep) for part, keep in zip(parts, masks, strict=True)]
                return self.engine.logits(torch.cat(altered))
            rows = [part.row for part, keep in zip(parts, masks, strict=True) for _ in keep]
            state = None if self.state is None else self.state[rows]
            return self.removal.see(eyes, self.images[rows], torch.cat(list(masks)).float(), state).float()

    def _altered(self, row: int, keep: Tensor) -> Tensor:
        return torch.lerp(self._blank[row], self._inputs[row], keep[:, None].to(self._inputs.dtype))


def chunks(counts: Sequence[int], size: int) -> Iterator[list[Part]]:
    """All masks of all images, `size` at a time."""
    parts, room = list[Part](), size
    for row, count in enumerate(counts):
        start = 0
        while start < count:
            stop = min(count, start + room)
            parts.append(Part(row, start, stop))
            room, start = room - (stop - start), stop
            if not room:
                yield parts
                parts, room = [], size
    if parts:
        yield parts


def stream(noise: Noise, purpose: str, row: int | None = None) -> Noise:
    """Another stream than the explainer's own, of all samples or of one."""
    return Noise(noise.seed, f"{noise.purpose}/{purpose}", noise.ids if row is None else noise.ids[row : row + 1])


def spread(partition: Partition, values: Sequence[Outputs], images: Images) -> Tensor:
    """Each image's value of each unit on the unit's pixels, (B, H, W) float32."""
    padded = [F.pad(value, (0, partition.width - len(value)))[None].to(images) for value in values]
    return torch.cat([partition.painted(row, value) for row, value in enumerate(padded)])


def shown(partition: Partition, part: Part, chosen: Tensor, images: Images) -> Tensor:
    """The pixels of the chosen units (S, n) in this part's masks, (stop - start, H, W) bool."""
    some = chosen[part.start : part.stop].to(images.device)
    return partition.pixels(part.row, F.pad(some, (0, partition.width - some.shape[1])))
