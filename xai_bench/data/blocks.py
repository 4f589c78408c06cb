"""Two stacked blocks of which one decides the class: on such images an explanation can leak into the other."""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from xai_bench.data.dataset import Data, Sample
from xai_bench.data.image import Preprocessing
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.seeding import digest, key
from xai_bench.types import Box, Card

Pixels = NDArray[np.float32]  # (h, w) of one block, in [0, 1]
Point = tuple[float, float]  # (x right, y down); a block is [0, 1] x [0, 1]
Stroke = tuple[Point, Point]

TALL = Preprocessing((64, 32))
DEFAULT_N = 256
SMALLEST = 12  # pixels of a block's shorter side
SIZE = (0.5, 0.75)  # least and largest height of a glyph, in heights of a block
ASPECT = (0.45, 0.65)  # width of a glyph in its heights
SLANT = 0.2  # a glyph leans up to a fifth of its height either way
THICK = (0.07, 0.12)  # of a glyph's strokes, in shorter sides of a block
INK = (0.7, 1.0)  # brightness of a glyph on black
OUTLINE, PEN = 0.15, 0.08  # the null block: where its square begins, and how thick it is drawn

# the corners of a glyph 1 wide and 2 high, and the seven segments between them
_CORNERS: dict[str, Point] = {"nw": (0, 0), "ne": (1, 0), "w": (0, 1), "e": (1, 1), "sw": (0, 2), "se": (1, 2)}
_SEGMENTS = {"a": "nw ne", "b": "ne e", "c": "e se", "d": "sw se", "e": "w sw", "f": "nw w", "g": "w e"}
DIGITS = {
    "0": "abcdef",
    "1": "bc",
    "2": "abged",
    "3": "abgcd",
    "4": "fgbc",
    "5": "afgcd",
    "6": "afgedc",
    "7": "abc",
    "8": "abcdefg",
    "9": "abcdfg",
}


class Plan(NamedTuple):
    """What is drawn, before it is drawn."""

    label: int
    above: bool  # whether the glyph's block is the upper one
    origin: Point  # of the glyph's upper left corner, in the block
    height: float
    width: float
    slant: float  # how far right its top lies of its foot, in heights
    thick: float
    ink: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Blocks(Data):
    """A glyph that is the class in one block, in the other a pattern that is the same in all images.

    After BlockMNIST (Shah, Jain & Netrapalli 2021, arXiv:2102.12781, section 5), with ours in two places: the digits
    have seven segments, drawn at any place, size, slant, thickness and brightness, and the null block, whose pattern
    was not published, is a square with both diagonals. Which block lies above is drawn independently of the class;
    `top` puts the glyph always above, which takes the leak away.
    Region and box are the glyph's block, the distractor is the null block: together they are the image.
    Sample i is a function of (seed, split, i) and the options, not of `n`. Only the size of `preprocessing` is used;
    where its height is odd, the lower block is one row higher than the upper.
    """

    card: ClassVar[Card] = Card(
        "blocks",
        source="ours, after BlockMNIST: Shah, Jain & Netrapalli 2021, arXiv:2102.12781, section 5",
        summary="a digit above or below a block that says nothing",
    )
    splits: ClassVar[tuple[str, ...]] = ("train", "test")
    can_know: ClassVar[frozenset[str]] = frozenset({"labels", "regions", "distractors", "boxes"})
    generated: ClassVar[bool] = True

    preprocessing: Preprocessing = TALL
    classes: tuple[str, ...] = tuple(DIGITS)  # names in DIGITS
    top: bool = False  # the glyph is always above

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.classes:
            if name not in DIGITS:
                raise UnknownNameError.of("digit", name, DIGITS)
        self._check("classes", "two or more different digits", len(set(self.classes)) == len(self.classes) >= 2)
        least = f"at least {2 * SMALLEST} x {SMALLEST}"
        self._check("size", least, self.size[0] >= 2 * SMALLEST and self.size[1] >= SMALLEST)

    def _check(self, option: str, allowed: str, kept: bool) -> None:  # noqa: FBT001 - reads as a sentence
        if not kept:
            raise InvalidValueError(f"{option} of dataset blocks must be {allowed}, got {getattr(self, option)}")

    @property
    def name(self) -> str:
        return f"blocks/{self.split}"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self.preprocessing.size

    @property
    def knows(self) -> frozenset[str]:
        return self.can_know

    @property
    def fingerprint(self) -> str:
        options = (self.split, len(self), self.seed, self.size, self.classes, self.top)
        return digest(self.card.name, self.card.version, *options)

    def __len__(self) -> int:
        return self.n or DEFAULT_N

    def id(self, index: int) -> str:
        return f"blocks-{'top-' if self.top else ''}{self.split}-{self.seed}-{index}"

    def sample(self, index: int) -> Sample:
        plan = self.plan(index)
        (height, width), middle = self.size, self.size[0] // 2
        region = np.zeros(self.size, dtype=bool)
        region[:middle] = plan.above
        region[middle:] = not plan.above
        glyph, null = (middle, height - middle) if plan.above else (height - middle, middle)
        drawn = [draw(plan, self.classes[plan.label], (glyph, width)), empty((null, width))]
        pixels = np.concatenate(drawn if plan.above else drawn[::-1])
        rows = (0, middle) if plan.above else (middle, height)
        return Sample(
            image=torch.from_numpy(pixels).expand(3, -1, -1).contiguous(),
            id=self.id(index),
            size=self.size,
            label=plan.label,
            region=torch.from_numpy(region),
            distractor=torch.from_numpy(~region),
            boxes=(Box(0.0, float(rows[0]), float(width), float(rows[1])),),
        )

    def plan(self, index: int) -> Plan:
        """What sample `index` shows, before it is drawn."""
        random = np.random.default_rng(key(self.seed, "blocks", self.split, index))
        label, above, down, across, *shape = random.random(9).tolist()
        height, aspect, thick, ink = (
            low + at * (high - low) for at, (low, high) in zip(shape, (SIZE, ASPECT, THICK, INK), strict=False)
        )
        width, slant = height * aspect, SLANT * (2 * shape[4] - 1)
        reach = width + abs(slant) * height  # of the leaning glyph
        left = thick / 2 + across * (1 - reach - thick) + max(0.0, -slant * height)
        origin = (left, thick / 2 + down * (1 - height - thick))
        return Plan(int(label * len(self.classes)), self.top or above < 0.5, origin, height, width, slant, thick, ink)


def draw(plan: Plan, digit: str, size: tuple[int, int]) -> Pixels:
    """A digit's block, (h, w): bright strokes on black."""
    (left, top), height = plan.origin, plan.height

    def place(corner: str) -> Point:
        x, y = _CORNERS[corner]
        return left + x * plan.width + plan.slant * height * (1 - y / 2), top + y / 2 * height

    ends = (_SEGMENTS[segment].split() for segment in DIGITS[digit])
    return (plan.ink * ink([(place(one), place(other)) for one, other in ends], plan.thick, size)).astype(np.float32)


@cache
def empty(size: tuple[int, int]) -> Pixels:
    """The null block, (h, w): a square with both diagonals, the same in all images."""
    low, high = OUTLINE, 1 - OUTLINE
    corners = [(low, low), (high, low), (high, high), (low, high)]
    sides = list(zip(corners, corners[1:] + corners[:1], strict=True))
    return ink([*sides, (corners[0], corners[2]), (corners[1], corners[3])], PEN, size).astype(np.float32)


def ink(strokes: list[Stroke], thick: float, size: tuple[int, int]) -> NDArray[np.float64]:
    """How far each pixel is covered by round-ended strokes, (h, w) in [0, 1]; the rim fades over one pixel."""
    height, width = size
    y, x = np.mgrid[:height, :width] + 0.5
    nearest = np.full(size, np.inf)
    for (x0, y0), (x1, y1) in strokes:
        ax, ay, dx, dy = x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height
        along = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clip(0, 1)
        nearest = np.minimum(nearest, np.hypot(x - ax - along * dx, y - ay - along * dy))
    covered: NDArray[np.float64] = (thick * min(size) / 2 + 0.5 - nearest).clip(0, 1)
    return covered
