"""A case is one batch, one model, one explainer's maps. It remembers what has been computed; metrics ask it."""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.engine.ranking import Order, Ranks, Ties, cells, counts, ranks, unrankable, visible
from xai_bench.engine.readout import Readout, read
from xai_bench.errors import InvalidValueError
from xai_bench.removal import Removal, State
from xai_bench.seeding import Noise
from xai_bench.types import Batch, Logits, Maps, Output, Targets

CHUNK = 32  # altered images per forward pass


class Curve(NamedTuple):
    """A per-image curve over the share of the image that is removed (or, for insertion, shown)."""

    fractions: Float64[Tensor, " S"]
    values: Float64[Tensor, "B S"]

    def backwards(self) -> "Curve":
        """The same curve over the complement: what is removed becomes what is shown."""
        return Curve(1 - self.fractions.flip(0), self.values.flip(1))


class Scene:
    """One model looking at one batch: what the cases of all explainers share."""

    def __init__(
        self, model: VisionModel, batch: Batch, *, targets: Targets | None = None, seed: int = 0, chunk: int = CHUNK
    ) -> None:
        """`targets` None means the class predicted on the clean image."""
        self.model, self.batch, self.seed, self.chunk = model, batch.to(model.device), seed, chunk
        self.given = None if targets is None else targets.to(model.device)
        self._states: dict[Removal, State] = {}
        self._ends: dict[tuple[Removal, bool], Readout] = {}

    @cached_property
    @torch.inference_mode()
    def clean(self) -> Logits:
        """Logits of the unaltered images, (B, K)."""
        with self.model.ready():
            return torch.cat([self.model(part) for part in torch.split(self.batch.images, self.chunk)])

    @cached_property
    def targets(self) -> Targets:
        """The class explained, fixed while the image is altered."""
        if self.given is None:
            with torch.inference_mode(mode=False):  # asked for inside it, but explainers differentiate at the targets
                return self.clean.argmax(1)
        classes = self.clean.shape[1]
        outside = [target for target in self.given.tolist() if not 0 <= target < classes]
        if outside:
            raise InvalidValueError(
                f"target {outside[0]} is outside the classes 0 to {classes - 1} of model {self.model.label!r}"
            )
        return self.given

    def noise(self, purpose: str) -> Noise:
        """A random stream per sample for this purpose."""
        return Noise(self.seed, purpose, self.batch.ids)

    def faults(self) -> tuple[str, ...]:
        """Why each sample cannot be scored at all, "" where it can."""
        finite = self.clean.isfinite().all(1).tolist()
        unreadable = self.batch.faults or ("",) * len(self.batch)
        return tuple(
            fault or ("" if good else "model output is not finite")
            for fault, good in zip(unreadable, finite, strict=True)
        )

    def state(self, removal: Removal) -> State:
        """What the removal prepared for this batch."""
        if removal not in self._states:
            purpose = f"removal/{removal.card.name}"
            self._states[removal] = removal.prepare(self.model, self.batch.images, self.noise(purpose))
        return self._states[removal]

    def end(self, removal: Removal, *, kept: bool) -> Readout:
        """Readout with everything kept, or nothing: the end points that all curves share."""
        if (removal, kept) not in self._ends:
            self._ends[removal, kept] = self._see_end(removal, kept=kept)
        return self._ends[removal, kept]

    def _see_end(self, removal: Removal, *, kept: bool) -> Readout:
        if kept and removal.soft:  # a removal of pixels that removes none shows the image
            return read(self.clean, self.targets)
        blank = torch.zeros((len(self.batch), 1, 1), dtype=torch.int64, device=self.model.device)
        removed = torch.tensor([0 if kept else 1], device=self.model.device)
        patch = max(self.batch.images.shape[2:])
        return Readout(*(part[:, 0] for part in self.readouts(removal, blank, removed, "morf", patch)))

    @torch.inference_mode()
    def readouts(self, removal: Removal, ranked: Ranks, removed: Tensor, order: Order, patch: int) -> Readout:
        """Forward passes on altered images, (B, S): chunks of one size that cross images and steps."""
        images, targets, state = self.batch.images, self.targets, self.state(removal)
        steps, size = len(removed), (images.shape[2], images.shape[3])
        seen = []
        with self.model.ready():
            for job in torch.split(torch.arange(len(images) * steps, device=images.device), self.chunk):
                row, step = job // steps, job % steps
                keep = visible(ranked[row], removed[step], order, patch, size)
                rows = None if state is None else state[row]
                seen.append(read(removal.see(self.model, images[row], keep.float(), rows), targets[row]))
        return Readout(*(torch.cat(parts).view(len(images), steps) for parts in zip(*seen, strict=True)))


class Case:
    """A scene with one explainer's maps; `maps` is None where no explainer is involved."""

    def __init__(self, scene: Scene, maps: Maps | None = None) -> None:
        self.scene = scene
        self._maps = None if maps is None else maps.to(scene.model.device)
        self._ranks: dict[tuple[Ties, int], Ranks] = {}
        self._curves: dict[tuple[object, ...], Readout] = {}

    @property
    def maps(self) -> Maps:
        """The maps; only for metrics whose card needs them."""
        assert self._maps is not None, "a metric without 'maps' among its needs asked for maps"
        return self._maps

    @property
    def batch(self) -> Batch:
        return self.scene.batch

    @cached_property
    def unrankable(self) -> tuple[str, ...]:
        """Why each map orders nothing, "" where it does."""
        return unrankable(self.maps)

    def ranks(self, ties: Ties = "random", patch: int = 1) -> Ranks:
        """Rank of each pixel (or cell) by relevance, 0 = most relevant; one ranking serves all curves."""
        if (ties, patch) not in self._ranks:
            finite = self.maps.nan_to_num(0.0, 0.0, 0.0)
            self._ranks[ties, patch] = ranks(cells(finite, patch), ties, self.scene.noise("rank"))
        return self._ranks[ties, patch]

    def curve(
        self,
        removal: Removal,
        order: Order,
        steps: int,
        output: Output | None,
        *,
        ties: Ties = "random",
        patch: int = 1,
    ) -> Curve:
        """The output (None: the predicted class) at steps + 1 equal fractions removed in the order of the map."""
        readout = self._readout(removal, order, steps, ties, patch)
        values = readout.predicted.double() if output is None else readout.scalar(output)
        return Curve(torch.linspace(0, 1, steps + 1, dtype=torch.float64), values.cpu())

    def _readout(self, removal: Removal, order: Order, steps: int, ties: Ties, patch: int) -> Readout:
        key = (removal, order, steps, ties, patch)
        if key not in self._curves:
            ranked = self._random_ranks(patch) if order == "random" else self.ranks(ties, patch)
            removed = torch.tensor(counts(steps, ranked[0].numel())[1:-1], dtype=torch.int64, device=ranked.device)
            ends = self.scene.end(removal, kept=True), self.scene.end(removal, kept=False)
            inside = self.scene.readouts(removal, ranked, removed, order, patch) if len(removed) else None
            self._curves[key] = _joined(ends, inside)
        return self._curves[key]

    def _random_ranks(self, patch: int) -> Ranks:
        height, width = (-(-side // patch) for side in self.batch.images.shape[2:])
        order = self.scene.noise("random order").permutations(height * width)
        return order.argsort(1).view(-1, height, width).to(self.scene.model.device)


def _joined(ends: tuple[Readout, Readout], inside: Readout | None) -> Readout:
    start, finish = ([part[:, None] for part in end] for end in ends)
    middle: Sequence[Tensor] = inside or [part[:, :0] for part in start]
    return Readout(*(torch.cat(parts, 1) for parts in zip(start, middle, finish, strict=True)))
