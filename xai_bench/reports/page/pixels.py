"""Pictures small enough to travel inside a page: thumbnails, maps as ranks and values, regions as bits."""

import base64
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

KNOTS = (*range(16), *range(16, 240, 8), *range(240, 256))  # levels whose values travel; close where maps are steep
LEVELS = 256
OUTLINE = 64  # pixels along the longer side of a region

Picture = NDArray[np.uint8]  # (H, W, 3)


class Reduced(NamedTuple):
    """A map of fewer pixels: its order of removal, and the values along that order."""

    levels: NDArray[np.uint8]  # (h, w): floor(256 rank / pixels), 0 = most relevant
    knots: NDArray[np.uint8]  # (60,): relevance at the levels KNOTS, 0 = low, 255 = high
    low: float
    high: float


def encoded(content: NDArray[np.generic] | bytes) -> str:
    """Base 64."""
    return base64.b64encode(content if isinstance(content, bytes) else content.tobytes()).decode()


def webp(picture: Picture, side: int, quality: int = 80) -> str:
    """The picture with at most `side` pixels along its longer side, as the source of an `img`."""
    small = Image.fromarray(picture)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    with BytesIO() as file:
        small.save(file, "webp", quality=quality, method=4)
        return f"data:image/webp;base64,{encoded(file.getvalue())}"


def thumbnails(pictures: Sequence[Picture], sides: Iterable[int], budget: int) -> list[str]:
    """All pictures at the largest of `sides` at which they take at most `budget` characters; else at the last."""
    made: list[str] = []
    for side in sides:
        made = [webp(picture, side) for picture in pictures]
        if sum(map(len, made)) <= budget:
            break
    return made


def shrunk(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Means over boxes, with at most `side` pixels along the longer side, (H, W) -> (h, w); small maps as they are."""
    height, width = values.shape
    share = side / max(height, width)
    if share >= 1:
        return values
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX), np.float32)


def reduced(relevance: NDArray[np.float32], side: int) -> Reduced:
    """A finite map at `side`; equal values come in a random order, the same at each call."""
    small = shrunk(relevance, side)
    values = small.ravel()
    lots = np.random.default_rng(0).permutation(values.size)
    order = np.lexsort((lots, -values))
    ranks = np.empty(values.size, np.int64)
    ranks[order] = np.arange(values.size)
    low, high = float(values.min()), float(values.max())
    places = np.minimum((np.array(KNOTS) + 0.5) * values.size / LEVELS, values.size - 1).astype(np.int64)
    knots = (values[order][places].astype(np.float64) - low) / ((high - low) or 1.0)
    levels = (ranks * LEVELS // values.size).astype(np.uint8).reshape(small.shape)
    return Reduced(levels, np.round(255 * knots).astype(np.uint8), low, high)


def outline(region: NDArray[np.bool_]) -> tuple[int, int, str]:
    """(width, height, bits row by row) of a region at most OUTLINE pixels long; a pixel is in where half of it is."""
    small = shrunk(region.astype(np.float32), OUTLINE) >= 0.5
    return small.shape[1], small.shape[0], encoded(np.packbits(small))
