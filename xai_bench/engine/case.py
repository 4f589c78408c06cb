"""A case is one batch, one model, one explainer's maps. It remembers what has been computed; metrics ask it."""

from collections.abc import Sequence
from functools import cached_property

from xai_bench.engine.ranking import Ranks, Ties, cells, placed, ranks, unrankable
from xai_bench.engine.scene import Scene
from xai_bench.engine.trajectory import Curve, Trajectory
from xai_bench.engine.walk import Walk
from xai_bench.types import Batch, Maps, Output


class Case:
    """A scene with one explainer's maps; `maps` is None where no explainer is involved."""

    def __init__(self, scene: Scene, maps: Maps | None = None) -> None:
        self.scene = scene
        self._maps = None if maps is None else maps.to(scene.model.device)
        self._ranks: dict[tuple[Ties, int], Ranks] = {}
        self._walks: dict[Trajectory, Walk] = {}

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
            relevance = cells(self.maps.nan_to_num(0.0, 0.0, 0.0), patch)
            lots = self.scene.lots("rank", relevance[0].numel()) if ties == "random" else None
            self._ranks[ties, patch] = ranks(relevance, ties, lots)
        return self._ranks[ties, patch]

    def walk(self, trajectory: Trajectory) -> Walk:
        """What is known along a trajectory."""
        if trajectory not in self._walks:
            wanted = trajectory.order, trajectory.ties, trajectory.patch
            ranked = self._random_ranks(trajectory.patch) if wanted[0] == "random" else self.ranks(*wanted[1:])
            height, width = self.batch.images.shape[2:]
            self._walks[trajectory] = Walk(trajectory, ranked, (height, width))
        return self._walks[trajectory]

    def curve(self, trajectory: Trajectory, output: Output | None) -> Curve:
        """The output (None: the predicted class) along a trajectory."""
        evaluate([(self, trajectory)])
        return self.walk(trajectory).curve(output)

    def _random_ranks(self, patch: int) -> Ranks:
        """An order that does not look at the map, the same for all explainers."""
        height, width = (-(-side // patch) for side in self.batch.images.shape[2:])
        return placed(self.scene.lots("random order", height * width)).view(-1, height, width)


def evaluate(pairs: Sequence[tuple[Case, Trajectory]]) -> None:
    """Carry out all trajectories together, so that chunks are full; what is known is not done again."""
    scenes: dict[int, tuple[Scene, dict[int, Walk]]] = {}
    for case, trajectory in pairs:
        walk = case.walk(trajectory)
        scenes.setdefault(id(case.scene), (case.scene, {}))[1][id(walk)] = walk
    for scene, walks in scenes.values():
        while unfinished := [walk for walk in walks.values() if walk.wanted is not None]:
            scene.see(unfinished)
