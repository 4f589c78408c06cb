"""States that an agent may come to, as a data set: what is seen, where the target is, which move is best."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch

from xai_bench.data import Data, Preprocessing, Sample
from xai_bench.reinforcement.world import ACTIONS, Place, Rules, World, eight_bit
from xai_bench.seeding import digest, key
from xai_bench.types import Card

DEFAULT_N = 128


@dataclass(frozen=True, kw_only=True, eq=False)
class States(Data):
    """One place on the shortest way to the target in each of `n` worlds; any of the way is as likely.

    They are the same for every agent, so that agents can be compared state by state. Labels are the best moves,
    regions the target. In `test` the background tells the direction as often as in training, in `shifted` it does not.
    """

    card: ClassVar[Card] = Card("states", source="ours", summary="what an agent sees on its way to a shape")
    splits: ClassVar[tuple[str, ...]] = ("test", "shifted")
    generated: ClassVar[bool] = True

    preprocessing: Preprocessing = field(init=False)
    rules: Rules = field(default_factory=Rules)

    def __post_init__(self) -> None:
        object.__setattr__(self, "preprocessing", Preprocessing((self.rules.size, self.rules.size)))
        super().__post_init__()

    @property
    def name(self) -> str:
        return f"states/{self.split}"

    @property
    def classes(self) -> tuple[str, ...]:
        return ACTIONS

    @property
    def knows(self) -> frozenset[str]:
        return frozenset({"labels", "regions", "distractors"})

    @property
    def fingerprint(self) -> str:
        return digest(
            self.card.name,
            self.card.version,
            self.split,
            len(self),
            self.seed,
            self.rules.drawn.fingerprint,
            self.rules,
        )

    def __len__(self) -> int:
        return self.n or DEFAULT_N

    def id(self, index: int) -> str:
        return f"state-{self.split}-{self.seed}-{index}"

    def sample(self, index: int) -> Sample:
        world, place = self.at(index)
        view = world.view(place)
        return Sample(
            image=torch.from_numpy(eight_bit(view.pixels)) / 255,  # as the agent sees it
            id=self.id(index),
            size=(self.rules.size, self.rules.size),
            label=world.best(place),
            region=torch.from_numpy(view.target),
            distractor=torch.from_numpy(view.distractor),
        )

    def at(self, index: int) -> tuple[World, Place]:
        """The world of a sample, and where in it the agent stands."""
        world = World(self.rules, key("states", self.split, self.seed, index), shifted=self.split == "shifted")
        way = tuple(world.path())
        return world, way[int(np.random.default_rng(key("place", world.number)).random() * len(way))]
