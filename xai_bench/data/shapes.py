"""Shapes and where they lie in an image: plain geometry on numpy."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Inside = Callable[[Floats, Floats], Mask]  # coordinates (x right, y down) in units of the radius -> inside or not
Window = tuple[slice, slice]


class Thing(NamedTuple):
    """One object of a scene, in pixels, radians and RGB."""

    shape: str
    x: float
    y: float
    radius: float  # of the circle that the shape fits into
    tilt: float
    colour: tuple[float, float, float]


def _polygon(*corners: tuple[float, float]) -> Inside:
    """A convex polygon, corners clockwise on the screen: right of every edge."""
    edges = list(zip(corners, corners[1:] + corners[:1], strict=True))

    def inside(x: Floats, y: Floats) -> Mask:
        sides = [(x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) >= 0 for (x0, y0), (x1, y1) in edges]
        within: Mask = np.logical_and.reduce(sides)
        return within

    return inside


def _star(x: Floats, y: Floats) -> Mask:
    """Five points, inner radius 1/2: a fan of ten equal triangles folded onto one."""
    fifth = 2 * np.pi / 5
    angle = np.abs((np.arctan2(x, -y) + fifth / 2) % fifth - fifth / 2)  # from the nearest point
    radius = np.hypot(x, y)
    along, across = radius * np.cos(angle), radius * np.sin(angle)
    # The edge runs from (along, across) = (1, 0) to half of (cos 36 degrees, sin 36 degrees).
    edge = across * (1 - 0.5 * np.cos(fifth / 2)) + (along - 1) * 0.5 * np.sin(fifth / 2)
    within: Mask = edge <= 0
    return within


def _square(x: Floats, y: Floats) -> Mask:
    return np.maximum(np.abs(x), np.abs(y)) <= 0.7


def _cross(x: Floats, y: Floats) -> Mask:
    return (np.minimum(np.abs(x), np.abs(y)) <= 0.3) & (np.maximum(np.abs(x), np.abs(y)) <= 0.9)


def _disc(x: Floats, y: Floats) -> Mask:
    return np.hypot(x, y) <= 1


def _ring(x: Floats, y: Floats) -> Mask:
    return _disc(x, y) & (np.hypot(x, y) >= 0.55)


def _crescent(x: Floats, y: Floats) -> Mask:
    return _disc(x, y) & (np.hypot(x - 0.55, y) >= 0.75)


def _half(x: Floats, y: Floats) -> Mask:
    return (np.hypot(x, y + 0.4) <= 0.9) & (y >= -0.4)


# No shape reaches beyond radius 1.
SHAPES: Mapping[str, Inside] = {
    "square": _square,
    "triangle": _polygon((0.0, -1.0), (0.86, 0.5), (-0.86, 0.5)),
    "cross": _cross,
    "ring": _ring,
    "star": _star,
    "disc": _disc,
    "bar": _polygon((-0.94, -0.33), (0.94, -0.33), (0.94, 0.33), (-0.94, 0.33)),
    "crescent": _crescent,
    "hexagon": _polygon(*((float(np.sin(turn)), float(-np.cos(turn))) for turn in np.arange(6) * np.pi / 3)),
    "half": _half,
}


@cache
def coverage(shape: str) -> float:
    """Area of a shape of radius 1, to about 0.1 %."""
    ticks = (np.arange(800) + 0.5) / 400 - 1
    return float(SHAPES[shape](ticks[None, :], ticks[:, None]).mean() * 4)


def stamp(thing: Thing, size: tuple[int, int]) -> tuple[Window, Mask]:
    """The window of the image that a thing lies in, and which of the window's pixel centres are inside it."""
    (top, bottom), (left, right) = (
        _span(at, thing.radius, side) for at, side in zip((thing.y, thing.x), size, strict=True)
    )
    y = (np.arange(top, bottom)[:, None] + 0.5 - thing.y) / thing.radius
    x = (np.arange(left, right)[None, :] + 0.5 - thing.x) / thing.radius
    cosine, sine = np.cos(thing.tilt), np.sin(thing.tilt)
    inside = SHAPES[thing.shape](cosine * x + sine * y, cosine * y - sine * x)
    return (slice(top, bottom), slice(left, right)), inside


def _span(centre: float, radius: float, side: int) -> tuple[int, int]:
    return max(0, int(centre - radius)), min(side, int(centre + radius) + 1)
