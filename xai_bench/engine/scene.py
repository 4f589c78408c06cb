"""A scene is one model looking at one batch; every forward pass on an altered image happens here."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import cached_property, partial
from itertools import groupby
from typing import TypeVar

import torch
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.engine.engine import Engine
from xai_bench.engine.memory import attempt
from xai_bench.engine.ranking import First
from xai_bench.engine.readout import Readout, read
from xai_bench.engine.seen import Altered, Asker, Key, whole
from xai_bench.engine.units import Partition, Unit
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.removal import Removal, State, puts_pixels
from xai_bench.seeding import Noise
from xai_bench.types import Batch, Logits, Output, Targets, Values

T = TypeVar("T")


class Scene:
    """What the cases of all explainers share."""

    def __init__(
        self,
        model: VisionModel,
        batch: Batch,
        *,
        targets: Targets | None = None,
        seed: int = 0,
        engine: Engine | None = None,
    ) -> None:
        """`targets` None means the class predicted on the clean image."""
        self.model, self.batch, self.seed = model, batch.to(model.device), seed
        self.engine = engine or Engine(model)
        self.given = None if targets is None else targets.to(model.device)
        self._states: dict[Removal, State] = {}
        self._substrates: dict[Removal, tuple[Tensor, Tensor]] = {}
        self._buffer = torch.empty(0)
        self._lots: dict[tuple[str, tuple[int, ...]], First] = {}
        self._partitions: dict[Unit, Partition] = {}
        self._places: dict[Key, int] = {}  # where in `_found` an altered image's readout is
        self._found: list[Readout] = []
        self._logits: dict[Key, Tensor] = {}  # (K,) float32, only of altered images that somebody wants in full

    @cached_property
    def inputs(self) -> Tensor:
        """The unaltered images as the engine takes them."""
        with torch.inference_mode():
            return self.engine.normalised(self.batch.images)

    @cached_property
    def clean(self) -> Logits:
        """Logits of the unaltered images at the engine's precision, (B, K) float32."""
        with self.engine.ready():
            parts = self._in_chunks(range(len(self.batch)), lambda rows: self.engine.logits(self.inputs[list(rows)]))
            return torch.cat([logits for _, _, logits in parts])

    @cached_property
    def targets(self) -> Targets:
        """The class explained, fixed while the image is altered."""
        if self.given is None:
            with torch.inference_mode(mode=False):  # asked for inside it, but explainers differentiate at the targets
                return self.clean.argmax(1)
        with self.engine.ready():  # one image, since who only explains has no need of `clean`
            classes = self.engine.logits(self.inputs[:1]).shape[1]
        outside = [target for target in self.given.tolist() if not 0 <= target < classes]
        if outside:
            raise InvalidValueError(
                f"target {outside[0]} is outside the classes 0 to {classes - 1} of model {self.model.label!r}"
            )
        return self.given

    def noise(self, purpose: str) -> Noise:
        """A random stream per sample for this purpose."""
        return Noise(self.seed, purpose, self.batch.ids)

    def lots(self, purpose: str, counts: tuple[int, ...]) -> First:
        """A random order of each sample's `counts` places, drawn once for all explainers; (B, the most) in all.

        A sample's order depends on its own count alone; places that it does not have come last.
        """
        if (purpose, counts) not in self._lots:
            noise, most = self.noise(purpose), max(counts, default=0)
            orders = [
                torch.cat([Noise(noise.seed, purpose, (sample,)).permutations(count)[0], torch.arange(count, most)])
                for sample, count in zip(noise.ids, counts, strict=True)
            ]
            drawn = torch.stack(orders) if orders else torch.empty(0, 0, dtype=torch.int64)
            self._lots[purpose, counts] = drawn.to(self.model.device)
        return self._lots[purpose, counts]

    def partition(self, unit: Unit) -> Partition:
        """The units of each image, found once for all explainers."""
        if unit not in self._partitions:
            self._partitions[unit] = unit.split(self.batch.images)
        return self._partitions[unit]

    def output(self, output: Output) -> Values:
        """The output of the unaltered images, (B,) float64 on the CPU."""
        return read(self.clean, self.targets).scalar(output).cpu()

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

    @torch.inference_mode()
    def see(self, askers: Sequence[Asker]) -> None:
        """Look at every altered image that is asked for and that nobody has looked at; chunks cross all borders."""
        if not self._places:
            clean = [whole(row) for row in range(len(self.batch))]
            self._remember(clean, read(self.clean, self.targets))
            self._logits.update(zip(clean, self.clean, strict=True))
        asked = [asker.asked() for asker in askers]
        full = {key for asker, wanted in zip(askers, asked, strict=True) if asker.full for key, _, _ in wanted}
        new: dict[Key, Altered] = {}
        for number, wanted in enumerate(asked):
            for key, row, step in wanted:
                if key not in self._places or (key in full and key not in self._logits):
                    new.setdefault(key, Altered(row, number, step))
        ways: dict[Removal | None, list[Key]] = {}
        for key, altered in sorted(new.items(), key=lambda item: item[1]):
            removal = askers[altered.asker].removal
            ways.setdefault(None if puts_pixels(removal) else removal, []).append(key)
        for way, keys in ways.items():
            self._look(way, askers, {key: new[key] for key in keys}, full)
        for asker, wanted in zip(askers, asked, strict=True):
            asker.take(self._recall([key for key, _, _ in wanted]))

    def logits(self, keys: Sequence[Key]) -> Logits:
        """Logits of all classes for altered images that were looked at in full, (n, K) float32 on the CPU."""
        return torch.stack([self._logits[key] for key in keys]).cpu()

    def _look(
        self, removal: Removal | None, askers: Sequence[Asker], new: Mapping[Key, Altered], full: Set[Key]
    ) -> None:
        """Forward passes; `removal` None packs all removals that only put pixels in the place of others."""
        keys = list(new)
        for asker in askers:
            self.state(asker.removal)  # prepared before anything is rounded
        with self.engine.ready(removal):
            for start, stop, logits in self._in_chunks(
                [new[key] for key in keys],
                lambda part: (
                    self.engine.logits(self._altered(askers, part))
                    if removal is None
                    else self._seen_by(removal, askers, part)
                ),
            ):
                rows = torch.tensor([new[key].row for key in keys[start:stop]], device=self.model.device)
                self._remember(keys[start:stop], read(logits, self.targets[rows]))
                kept = [place for place, key in enumerate(keys[start:stop]) if key in full]
                self._logits.update(zip((keys[start + place] for place in kept), logits[kept], strict=True))

    def _in_chunks(
        self, items: Sequence[T], work: Callable[[Sequence[T]], Logits]
    ) -> Iterator[tuple[int, int, Logits]]:
        """The work on a chunk of items at a time, with smaller chunks once memory has run out."""
        start = 0
        while start < len(items):
            part = items[start : start + self.engine.chunk]
            logits = attempt(partial(work, part))
            if logits is not None:
                yield start, start + len(part), logits.float()
                start += len(part)
            elif not self.engine.halve():
                raise UnsupportedError(f"memory does not suffice for one image in model {self.model.label!r}")

    def _altered(self, askers: Sequence[Asker], part: Sequence[Altered]) -> Tensor:
        """Altered images as the engine takes them.

        Pixels are chosen by their bits, substrate ^ (image ^ substrate) keep: exact, and a tenth of torch.where's time
        on a CPU. Soft masks mix image and substrate.
        """
        if len(self._buffer) < len(part):
            shape = (self.engine.chunk, *self.inputs.shape[1:])
            self._buffer = torch.empty(shape, dtype=_bits(self.inputs).dtype, device=self.inputs.device)
        start = 0
        for (row, number), piece in groupby(part, key=lambda altered: altered[:2]):
            keep = askers[number].visible(row, [altered.step for altered in piece])[:, None]
            substrate, difference = self._substrate(askers[number].removal)
            inputs = self._buffer[start : start + len(keep)]
            if keep.dtype == torch.bool:
                torch.mul(difference[row], keep.to(inputs.dtype), out=inputs)
                inputs.bitwise_xor_(substrate[row])
            else:
                image, blank = self.inputs[row], substrate[row].view(self.inputs.dtype)
                torch.lerp(blank, image, keep.to(image.dtype), out=inputs.view(image.dtype))
            start += len(keep)
        return self._buffer[:start].view(self.inputs.dtype)

    def _seen_by(self, removal: Removal, askers: Sequence[Asker], part: Sequence[Altered]) -> Logits:
        """Logits by a removal's own way of looking."""
        rows = torch.tensor([altered.row for altered in part], device=self.model.device)
        pieces = groupby(part, key=lambda altered: altered[:2])
        keep = [
            askers[number].visible(row, [altered.step for altered in piece]).float() for (row, number), piece in pieces
        ]
        state = self.state(removal)
        return removal.see(
            self.engine.eyes_for(removal),
            self.batch.images[rows],
            torch.cat(keep),
            None if state is None else state[rows],
        )

    def _substrate(self, removal: Removal) -> tuple[Tensor, Tensor]:
        """Bits of what stands in the place of removed pixels, and where they differ from the image's."""
        if removal not in self._substrates:
            state = self.state(removal)
            assert state is not None
            bits = _bits(self.engine.normalised(state).expand_as(self.inputs).contiguous())
            self._substrates[removal] = bits, bits ^ _bits(self.inputs)
        return self._substrates[removal]

    def _remember(self, keys: Sequence[Key], found: Readout) -> None:
        first = sum(len(part.target) for part in self._found)
        for place, key in enumerate(keys):  # one that is looked at again, now in full, keeps what was read at first
            self._places.setdefault(key, first + place)
        self._found.append(found)

    def _recall(self, keys: Sequence[Key]) -> Readout:
        self._found = [Readout(*map(torch.cat, zip(*self._found, strict=True)))]
        places = torch.tensor([self._places[key] for key in keys], device=self.model.device)
        return Readout(*(part[places] for part in self._found[0]))


def _bits(values: Tensor) -> Tensor:
    return values.view({2: torch.int16, 4: torch.int32}[values.dtype.itemsize])
