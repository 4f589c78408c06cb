"""A generated benchmark whose cause is known: the shape of one object decides the class, nothing else does."""

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import data as textures

from xai_bench.data.dataset import Data, Sample
from xai_bench.data.image import Preprocessing
from xai_bench.data.shapes import SHAPES, Mask, Thing, coverage, stamp
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.seeding import digest, key
from xai_bench.types import Box, Card

Pixels = NDArray[np.float32]
Random = np.random.Generator

AT_64 = Preprocessing((64, 64))
DEFAULT_N = 256
SMALLEST = 16  # pixels of the shorter side
AREA = (0.045, 0.095)  # least and largest share of (shorter side)^2 that an object covers; 0.07 on average
TILT = np.pi / 12  # objects lean up to 15 degrees either way
TEXTURES = ("brick", "grass", "gravel")  # these three come in scikit-image's wheel, CC0
# The largest channel of a background is in [0.3, 0.7], of an object in [0.85, 1].
CONTRAST, REACH = 0.16, 2.5  # of a texture about its tint: one standard deviation, and where it is cut off
NOISE = 0.02  # standard deviation of the pixels
_GOLDEN = 0.618034  # turns between hues, far apart however many there are
_TRIES = 24


class Scene(NamedTuple):
    """What is drawn: the object first, then the distractors."""

    label: int
    background: int
    corner: tuple[float, float]  # of the texture's crop, as shares of what is free
    things: tuple[Thing, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Planted(Data):
    """One object whose shape is the class, up to `distractors` objects of other shapes, a background that may mislead.

    Place, size, colour and tilt of object and distractors are drawn independently of the class.
    Class k has background k. In `train` and `test` the background is the class's own with probability `correlation`
    and else one of the others, each as likely; in `shifted` all backgrounds are as likely, whatever the class.
    Sample i is a function of (seed, split, i) and the options, not of `n`. Only the size of `preprocessing` is used.
    """

    card: ClassVar[Card] = Card(
        "planted", source="ours; textures of scikit-image", summary="generated shapes on misleading backgrounds"
    )
    splits: ClassVar[tuple[str, ...]] = ("train", "test", "shifted")
    can_know: ClassVar[frozenset[str]] = frozenset({"labels", "regions", "distractors", "boxes"})
    generated: ClassVar[bool] = True

    preprocessing: Preprocessing = AT_64
    classes: tuple[str, ...] = ("square", "triangle", "cross", "ring")  # names in SHAPES
    correlation: float = 0.9
    distractors: int = 2  # at most; how many is uniform, fewer where there is no room

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.classes:
            if name not in SHAPES:
                raise UnknownNameError.of("shape", name, SHAPES)
        self._check("classes", "two or more different shapes", len(set(self.classes)) == len(self.classes) >= 2)
        self._check("correlation", "in [0, 1]", 0 <= self.correlation <= 1)
        most = 8 if self.others else 0
        self._check("distractors", f"in [0, {most}] beside {len(self.classes)} classes", 0 <= self.distractors <= most)
        self._check("size", f"at least {SMALLEST} x {SMALLEST}", min(self.size) >= SMALLEST)

    def _check(self, option: str, allowed: str, kept: bool) -> None:  # noqa: FBT001 - reads as a sentence
        if not kept:
            raise InvalidValueError(f"{option} of dataset planted must be {allowed}, got {getattr(self, option)}")

    @property
    def name(self) -> str:
        return f"planted/{self.split}"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self.preprocessing.size

    @cached_property
    def others(self) -> tuple[str, ...]:
        """Shapes that are no class: the distractors'."""
        return tuple(shape for shape in SHAPES if shape not in self.classes)

    @property
    def knows(self) -> frozenset[str]:
        return self.can_know

    @property
    def fingerprint(self) -> str:
        options = (self.split, len(self), self.seed, self.size, self.classes, self.correlation, self.distractors)
        return digest(self.card.name, self.card.version, *options, version("scikit-image"))

    def __len__(self) -> int:
        return self.n or DEFAULT_N

    def id(self, index: int) -> str:
        return f"planted-{self.split}-{self.seed}-{index}"

    def sample(self, index: int) -> Sample:
        scene = self.scene(index)
        pixels, region, distractor = draw(scene, self.size, self._random("pixels", index))
        return Sample(
            image=torch.from_numpy(pixels),
            id=self.id(index),
            size=self.size,
            label=scene.label,
            region=torch.from_numpy(region),
            distractor=torch.from_numpy(distractor),
            boxes=(_box(region),),
        )

    def scene(self, index: int) -> Scene:
        """What sample `index` shows, before it is drawn."""
        random = self._random("scene", index)
        label = int(random.random() * len(self.classes))
        background = self._background(random, label)
        corner = (random.random(), random.random())
        return Scene(label, background, corner, tuple(self.things(random, self.classes[label])))

    def _random(self, purpose: str, index: int) -> Random:
        return np.random.default_rng(key(self.seed, "planted", purpose, self.split, index))

    def _background(self, random: Random, label: int) -> int:
        own, other, count = random.random(), random.random(), len(self.classes)
        if self.split == "shifted":
            return int(other * count)
        return label if own < self.correlation else (label + 1 + int(other * (count - 1))) % count

    def things(self, random: Random, shape: str) -> Iterator[Thing]:
        """An object of this shape, then distractors where there is room for them."""
        thing = _thing(random, shape, self.size)
        yield thing
        taken = np.zeros(self.size, dtype=bool)
        for _ in range(int(random.random() * (self.distractors + 1))):
            _occupy(taken, thing)
            candidates = (_thing(random, self._other(random), self.size) for _ in range(_TRIES))
            fitting = next((one for one in candidates if _fits(one, taken)), None)
            if fitting is None:
                return
            yield (thing := fitting)

    def _other(self, random: Random) -> str:
        return self.others[int(random.random() * len(self.others))]


def draw(scene: Scene, size: tuple[int, int], random: Random) -> tuple[Pixels, Mask, Mask]:
    """Pixels (3, H, W) in [0, 1], object and distractor masks (H, W); edges are hard, so that masks are exact."""
    pixels = _background(scene, size)
    region, distractor = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    for number, thing in enumerate(scene.things):
        window, inside = stamp(thing, size)
        (distractor if number else region)[window] |= inside
        pixels[:, *window][:, inside] = np.array(thing.colour)[:, None]
    pixels += NOISE * random.standard_normal(pixels.shape, dtype=np.float32)
    return pixels.clip(0, 1, out=pixels), region, distractor


def _background(scene: Scene, size: tuple[int, int]) -> Pixels:
    texture = _texture(TEXTURES[scene.background % len(TEXTURES)], 3 * max(size))
    top, left = (int(at * (3 * max(size) - side + 1)) for at, side in zip(scene.corner, size, strict=True))
    crop = texture[top : top + size[0], left : left + size[1]]
    tint = colorsys.hsv_to_rgb(scene.background * _GOLDEN % 1, 0.5, 0.5)
    return np.array(tint, dtype=np.float32)[:, None, None] * crop


@cache
def _texture(name: str, side: int) -> Pixels:
    """A texture scaled to side x side pixels, with mean 1."""
    picture = Image.fromarray(getattr(textures, name)().astype(np.float32))
    values = np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))
    standard = (values - values.mean()) / values.std()
    texture: Pixels = (1 + CONTRAST * standard.clip(-REACH, REACH)).astype(np.float32)
    return texture


def _thing(random: Random, shape: str, size: tuple[int, int]) -> Thing:
    area, down, across, tilt, *paint = random.random(7)
    share = AREA[0] + area * (AREA[1] - AREA[0])
    radius = min(size) * float(np.sqrt(share / coverage(shape)))
    x, y = (radius + at * (side - 2 * radius) for at, side in zip((across, down), size[::-1], strict=True))
    return Thing(shape, float(x), float(y), radius, float(TILT * (2 * tilt - 1)), _colour(*paint))


def _colour(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    """Of any hue, brighter than every background."""
    return colorsys.hsv_to_rgb(hue, 0.7 * saturation, 0.85 + 0.15 * value)


def _occupy(taken: Mask, thing: Thing) -> None:
    """Mark the thing and about two pixels around it."""
    for radius in (thing.radius, thing.radius + 2):
        window, inside = stamp(thing._replace(radius=radius), taken.shape)
        taken[window] |= inside


def _fits(thing: Thing, taken: Mask) -> bool:
    if taken[int(thing.y), int(thing.x)]:  # most misfits, at no cost
        return False
    window, inside = stamp(thing, taken.shape)
    return not (inside & taken[window]).any()


def _box(region: Mask) -> Box:
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    return Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
