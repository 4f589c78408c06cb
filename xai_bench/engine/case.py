"""A case is one batch, one model, one explainer's maps. It remembers what has been computed; metrics ask it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import Any, TypeVar

from jaxtyping import Float32, Float64
from torch import Tensor

from xai_bench.engine.ranking import First, Ranks, Ties, indifferent, placed, ranks, unrankable
from xai_bench.engine.scene import Scene
from xai_bench.engine.seen import Asker, Glances
from xai_bench.engine.totals import stacked, totals
from xai_bench.engine.trajectory import Curve, Trajectory
from xai_bench.engine.units import Partition, Pixel, Unit
from xai_bench.engine.walk import Walk
from xai_bench.errors import UnsupportedError
from xai_bench.removal import PixelRemoval, Removal
from xai_bench.types import Batch, Images, Maps, Output

T = TypeVar("T")
PIXEL = Pixel()


class Masks(ABC):
    """Altered images that are no removal along a ranking. A frozen dataclass: equal ones are looked at once."""

    removal: Removal

    @abstractmethod
    def keep(self, case: "Case", row: int) -> Tensor:
        """What remains of an image, mask after mask, (S, H, W): bool, or float32 in [0, 1]; the same at every call.

        Whatever it draws comes from `case.scene.noise(purpose)`, so that it depends on the sample alone.
        """


Question = Trajectory | Masks


class Case:
    """A scene with one explainer's maps; `maps` is None where no explainer is involved.

    `explain` makes the explainer's maps of other images in the place of the scene's, for the same targets;
    `explain_scene` those of another scene, of other samples with their own targets. Two that are equal make equal maps.
    `unmapped` says why the explainer has no map of each sample, "" where it has one.
    """

    def __init__(
        self,
        scene: Scene,
        maps: Maps | None = None,
        explain: Callable[[Images], Maps] | None = None,
        explain_scene: Callable[[Scene], Maps] | None = None,
        unmapped: tuple[str, ...] = (),
    ) -> None:
        self.scene = scene
        self._maps = None if maps is None else maps.to(scene.model.device)
        self._explain, self._explain_scene = explain, explain_scene
        self.unmapped = unmapped or ("",) * len(scene.batch)
        self._ranks: dict[tuple[Ties, Unit], Ranks] = {}
        self._askers: dict[Question, Asker] = {}
        self._made: dict[Hashable, Any] = {}

    @property
    def maps(self) -> Maps:
        """The maps; only for metrics whose card needs them."""
        assert self._maps is not None, "a metric without 'maps' among its needs asked for maps"
        return self._maps

    @property
    def batch(self) -> Batch:
        return self.scene.batch

    @property
    def explains(self) -> bool:
        """Whether the explainer itself is here, not only its maps."""
        return self._explain is not None or self._explain_scene is not None

    def explained(self, images: Images) -> Maps:
        """The explainer's maps of altered images, one for each image of the batch."""
        if self._explain is None:
            raise UnsupportedError("the explainer is needed to explain altered images, but only its maps are here")
        return self._explain(images).to(self.scene.model.device)

    @property
    def explain_scene(self) -> Callable[[Scene], Maps]:
        """What makes the explainer's maps of another scene, of other samples with their own targets."""
        if self._explain_scene is None:
            raise UnsupportedError("the explainer is needed to explain other samples, but only its maps are here")
        return self._explain_scene

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made once for this case, whoever asks under this name."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]  # type: ignore[no-any-return]

    @cached_property
    def unrankable(self) -> tuple[str, ...]:
        """Why each map orders nothing, "" where it does."""
        return unrankable(self.maps)

    def indifferent(self, unit: Unit) -> tuple[str, ...]:
        """Why each map orders no units, "" where it does: a map can vary within its units alone."""
        return self.once(
            ("indifferent", unit),
            lambda: tuple(
                "all units are equally relevant" if same else "" for same in indifferent(self.relevance(unit))
            ),
        )

    def partition(self, unit: Unit = PIXEL) -> Partition:
        """The units of each image."""
        return self.scene.partition(unit)

    def relevance(self, unit: Unit = PIXEL) -> Tensor:
        """Mean relevance of each unit, (B, n); what is not finite counts as 0, -inf is beyond the last unit."""
        return self.partition(unit).relevance(self.maps.nan_to_num(0.0, 0.0, 0.0))

    def ranks(self, ties: Ties = "random", unit: Unit = PIXEL) -> Ranks:
        """Rank of each unit by relevance, 0 = most relevant; one ranking serves all curves."""
        if (ties, unit) not in self._ranks:
            lots = self._lots("rank", unit) if ties == "random" else None
            self._ranks[ties, unit] = ranks(self.relevance(unit), ties, lots)
        return self._ranks[ties, unit]

    def asker(self, question: Question) -> Asker:
        """What is known of a question, and what is still to be looked at."""
        if question not in self._askers:
            make = self._glances if isinstance(question, Masks) else self._walk
            self._askers[question] = make(question)  # type: ignore[arg-type]
        return self._askers[question]

    def curve(self, trajectory: Trajectory, output: Output | None) -> Curve:
        """The output (None: the predicted class) along a trajectory."""
        evaluate([(self, trajectory)])
        walk = self.asker(trajectory)
        assert isinstance(walk, Walk)
        return walk.curve(output)

    def logits(self, trajectory: Trajectory) -> Float32[Tensor, "B S K"]:
        """Logits of all classes along a trajectory that asks for them (`full`), on the CPU."""
        evaluate([(self, trajectory)])
        walk = self.asker(trajectory)
        assert isinstance(walk, Walk)
        assert walk.full, "a trajectory keeps the logits of all classes only where it says so"
        keys = [key for points in walk.keys for key in points]
        return self.scene.logits(keys).view(len(self.batch), walk.known.shape[1], -1)

    def look(self, masks: Masks, output: Output | None) -> Float64[Tensor, "B S"]:
        """The output (None: the predicted class) under each mask; nan where an image has fewer masks than others."""
        evaluate([(self, masks)])
        glances = self.asker(masks)
        assert isinstance(glances, Glances)
        return glances.values(output)

    def hidden(self, masks: Masks, *, times_change: bool = False) -> Float64[Tensor, "B S"]:
        """Sum of the map over what each hard mask hides, on the CPU; nan where an image has fewer masks than others.

        `times_change` multiplies the map by how much the removal darkens a pixel, summed over the colours in [0, 1].
        """

        def summed() -> Float64[Tensor, "B S"]:
            values = self.maps.double() * self._change(masks.removal) if times_change else self.maps
            return stacked([totals(values[row], ~masks.keep(self, row)) for row in range(len(self.batch))])

        return self.once(("hidden", masks, times_change), summed)

    def _change(self, removal: Removal) -> Float64[Tensor, "B H W"]:
        """The image minus what stands in the place of removed pixels, summed over the colours."""
        state, images = self.scene.state(removal), self.batch.images
        assert isinstance(removal, PixelRemoval), "only a removal that puts other pixels changes pixels"
        nothing = removal.alter(images, images.new_zeros(images[:, 0].shape), state)
        return (images.double() - nothing.double()).sum(1)

    def _walk(self, trajectory: Trajectory) -> Walk:
        order, unit = trajectory.order, trajectory.unit
        ranked = placed(self._lots("random order", unit)) if order == "random" else self.ranks(trajectory.ties, unit)
        height, width = self.batch.images.shape[2:]
        return Walk(trajectory, ranked, self.partition(unit), (height, width))

    def _glances(self, masks: Masks) -> Glances:
        return Glances(masks.removal, len(self.batch), lambda row: masks.keep(self, row))

    def _lots(self, purpose: str, unit: Unit) -> First:
        """A random order of each image's units, the same for all explainers; what is beyond its units comes last."""
        return self.scene.lots(purpose, self.partition(unit).counts)


def evaluate(pairs: Sequence[tuple[Case, Question]]) -> None:
    """Carry out all questions together, so that chunks are full; what is known is not done again."""
    scenes: dict[int, tuple[Scene, dict[int, Asker]]] = {}
    for case, question in pairs:
        asker = case.asker(question)
        scenes.setdefault(id(case.scene), (case.scene, {}))[1][id(asker)] = asker
    for scene, askers in scenes.values():
        while unfinished := [asker for asker in askers.values() if asker.unfinished]:
            scene.see(unfinished)
