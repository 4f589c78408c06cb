"""A small world seen from above by an agent that looks for one shape, on a background that may tell it the way."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from xai_bench.catalogue import check_values
from xai_bench.data import Preprocessing
from xai_bench.data.planted import Pixels, Planted, Scene, draw
from xai_bench.data.shapes import Mask
from xai_bench.errors import InvalidValueError
from xai_bench.seeding import key
from xai_bench.types import Card

ACTIONS = ("right", "down", "left", "up")
MOVES = ((1, 0), (0, 1), (-1, 0), (0, -1))  # x right, y down, in steps
SPREAD = np.pi * 2 / 9  # the target lies within 40 degrees of one of the four directions
NEAREST, FARTHEST = 0.25, 0.45  # where an episode starts, as shares of the side
Part = TypeVar("Part", Pixels, Mask)
Place = tuple[int, int]  # x and y of a pixel


class View(NamedTuple):
    """What an agent sees, itself in the middle."""

    pixels: Pixels  # (3, S, S) in [0, 1]
    target: Mask  # (S, S)
    distractor: Mask  # (S, S), objects of other shapes, which do nothing


@dataclass(frozen=True)
class Rules:
    """What worlds are like and what an agent can do in them.

    A world is an image of dataset planted whose object is always the `target`, on a torus: what leaves on one side
    comes back on the other. An episode starts with the target in one of the four directions, each as likely, a quarter
    of the side away or more, and a move at least from where it is reached. Direction k has background k with
    probability `correlation`, and else one of the others; in shifted worlds all backgrounds are as likely, whatever the
    direction. Distractors do nothing.
    """

    size: int = 32  # pixels of a side
    target: str = "cross"
    distractors: int = 2  # at most
    correlation: float = 0.9
    step: int = 2  # pixels of a move
    horizon: int = 16  # moves, after which an episode is cut off

    card: ClassVar[Card] = Card("rules", source="ours", summary="worlds, and what an agent can do in them")

    def __post_init__(self) -> None:
        check_values(self)
        if self.horizon < 1:
            raise InvalidValueError(f"horizon must be at least 1 move, got {self.horizon}")
        if not 1 <= self.step <= self.size // 8:
            raise InvalidValueError(
                f"step must be in [1, {self.size // 8}] pixels at size {self.size}, got {self.step}"
            )
        _ = self.drawn  # checks the rest

    @cached_property
    def drawn(self) -> Planted:
        """Where objects come from."""
        shapes = (self.target, *(shape for shape in Planted.classes if shape != self.target))
        return Planted(
            preprocessing=Preprocessing((self.size, self.size)),
            classes=shapes,
            correlation=self.correlation,
            distractors=self.distractors,
        )


class World:
    """World `number` under these rules: the same at every time, and as seen from everywhere."""

    def __init__(self, rules: Rules, number: int, *, shifted: bool = False) -> None:
        self.rules, self.number = rules, number
        random = np.random.default_rng(key("world", number))
        direction, own, other, angle, far, down, across = random.random(7)
        self.direction = int(direction * len(ACTIONS))
        self.background = self._background(own, other, shifted=shifted)
        things = tuple(rules.drawn.things(random, rules.target))
        self.scene = Scene(0, self.background, (down, across), things)
        self._seen = View(*draw(self.scene, (rules.size, rules.size), random))
        self.goal, self.radius = (things[0].x, things[0].y), things[0].radius
        self.start = self._start(SPREAD * (2 * angle - 1), far)

    def _background(self, own: float, other: float, *, shifted: bool) -> int:
        count = len(ACTIONS)
        if shifted:
            return int(other * count)
        return (
            self.direction if own < self.rules.correlation else (self.direction + 1 + int(other * (count - 1))) % count
        )

    def _start(self, lean: float, far: float) -> Place:
        near = max(NEAREST * self.rules.size, self.radius + self.rules.step)  # a move away at least
        distance = near + far * max(FARTHEST * self.rules.size - near, 0)
        angle, (x, y) = self.direction * np.pi / 2 + lean, self.goal
        return self._wrapped(round(x - distance * math.cos(angle)), round(y - distance * math.sin(angle)))

    def _wrapped(self, x: int, y: int) -> Place:
        return x % self.rules.size, y % self.rules.size

    def moved(self, place: Place, action: int) -> Place:
        """Where a move leads."""
        (x, y), (right, down) = place, MOVES[action]
        return self._wrapped(x + right * self.rules.step, y + down * self.rules.step)

    def way(self, place: Place) -> tuple[float, float]:
        """From a place to the target the short way round, pixels right and down."""
        half = self.rules.size / 2
        x, y = ((goal - at - 0.5 + half) % (2 * half) - half for goal, at in zip(self.goal, place, strict=True))
        return x, y

    def distance(self, place: Place) -> float:
        """To the middle of the target, in pixels."""
        return math.hypot(*self.way(place))

    def reached(self, place: Place) -> bool:
        """Whether the place is in the circle that the target fits into."""
        return self.distance(place) <= self.radius

    def best(self, place: Place) -> int:
        """The move that comes nearest to the target."""
        return int(np.argmin([self.distance(self.moved(place, action)) for action in range(len(ACTIONS))]))

    def path(self) -> Iterator[Place]:
        """The places of an agent that makes the best moves, up to the last before the target."""
        place = self.start
        while not self.reached(place):
            yield place
            place = self.moved(place, self.best(place))

    def view(self, place: Place) -> View:
        """What is seen from a place."""
        middle = self.rules.size // 2
        turn = (middle - place[1], middle - place[0])
        pixels, target, distractor = self._seen
        return View(_rolled(pixels, turn), _rolled(target, turn), _rolled(distractor, turn))


def _rolled(part: Part, turn: tuple[int, int]) -> Part:
    return np.roll(part, turn, axis=(-2, -1))


def eight_bit(pixels: Pixels) -> NDArray[np.uint8]:
    """Pixels in [0, 1] as a screen has them."""
    return np.round(pixels * 255).astype(np.uint8)
