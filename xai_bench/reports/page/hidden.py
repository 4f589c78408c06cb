"""What stands in the place of removed pixels, drawn from a metric's spec without its model: blur and fill.

What cannot be drawn so (noise, in-painting, layer masking, tokens that are dropped) is hatched on the page, and said.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xai_bench.reports.analysis import Analysis
from xai_bench.reports.page.pixels import Picture, webp

SIDE = 64  # of a blurred picture, which has nothing finer to show
COLOURS = {"black": 0.0, "grey": 0.5, "white": 1.0}
RISE_WIDTH, TRUNCATE = 11, 4.0  # as removal.blur
Pixels = NDArray[np.float64]  # (H, W, 3), normalised
# The image's own colour, taken after normalisation: (H, W, 3) -> (3,) or ()
OF_THE_IMAGE: Mapping[str, Callable[[Pixels], Any]] = {
    "image_mean": lambda values: values.mean((0, 1)),
    "image_scalar_mean": lambda values: values.mean(),
    "image_min": lambda values: values.min(),
    "image_max": lambda values: values.max(),
}


class Removed(NamedTuple):
    """A removal of the run, as its metrics' specs name it."""

    name: str  # blur
    parameters: dict[str, str]
    spec: str  # blur(sigma=0.1,kernel=gaussian)
    metrics: tuple[str, ...]


def removals(analysis: Analysis) -> tuple[Removed, ...]:
    """The distinct removals of the run's metrics, those first that hide what a map finds most relevant."""
    found: dict[str, list[str]] = {}
    named = analysis.summary[["metric", "spec", "explainer"]].drop_duplicates(["metric", "spec"])
    rows = sorted(named.itertuples(index=False, name=None), key=lambda row: (row[2] == "none", not falls(row[1])))
    for metric, spec, _ in rows:
        if removal := part(spec, "removal"):
            found.setdefault(removal, []).append(metric)
    return tuple(_parsed(spec, tuple(dict.fromkeys(metrics))) for spec, metrics in found.items())


def falls(spec: str) -> bool:
    """Whether a metric's curve tells the output after the most relevant part was removed."""
    return part(spec, "order") == "morf"


def part(spec: str, key: str) -> str:
    """The value of `key` in a metric's spec, "" where it has none."""
    pairs = (piece.strip().partition("=") for piece in spec.split(";"))
    return next((value for name, _, value in pairs if name == key), "")


def _parsed(spec: str, metrics: tuple[str, ...]) -> Removed:
    name, _, inside = spec.partition("(")
    pairs = (piece.partition("=") for piece in inside.removesuffix(")").split(",") if "=" in piece)
    return Removed(name, {key: value for key, _, value in pairs}, spec, metrics)


def substrate(removed: Removed, picture: Picture, model: Mapping[str, Any]) -> str | list[int] | None:
    """What a removed pixel shows: the source of an `img`, a colour (r, g, b) of 0 to 255, or None: to be hatched.

    `model` is its entry in run.json, for `mean` and `std`.
    """
    match removed.name, removed.parameters:
        case "blur", {"kernel": "rise"}:
            return _box_blurred(picture, model)
        case "blur", {"sigma": sigma}:
            return webp(_gaussian(_small(picture), float(sigma)), SIDE)
        case "fill", {"colour": colour}:
            return _colour(colour, picture, model)
    return None


def _colour(colour: str, picture: Picture, model: Mapping[str, Any]) -> list[int] | None:
    if colour in COLOURS:
        return _bytes(np.full(3, COLOURS[colour]))
    if "/" in colour:
        return _bytes(np.array([float(share) for share in colour.split("/")]))
    if "mean" not in model or "std" not in model:
        return None
    mean, std = np.array(model["mean"]), np.array(model["std"])
    if colour == "mean":
        return _bytes(mean)
    if colour not in OF_THE_IMAGE:
        return None
    return _bytes(OF_THE_IMAGE[colour]((picture / 255 - mean) / std) * std + mean)


def _bytes(colour: NDArray[np.float64]) -> list[int]:
    found: list[int] = np.round(255 * np.clip(colour, 0, 1)).astype(int).tolist()
    return found


def _small(picture: Picture) -> Picture:
    small = Image.fromarray(picture)
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small)


def _gaussian(picture: Picture, sides: float) -> Picture:
    """Blurred by a share of the shorter side, reflected at the border, as the removal does."""
    sigma = sides * min(picture.shape[:2])
    reach, values = int(TRUNCATE * sigma + 0.5), picture.astype(np.float64)
    for axis in (0, 1):
        radius = min(reach, picture.shape[axis] - 1)
        weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
        ends = [(radius, radius) if axis == other else (0, 0) for other in range(3)]
        values = _convolved(np.pad(values, ends, mode="reflect"), weights / weights.sum(), axis)
    return np.round(values).astype(np.uint8)


def _box_blurred(picture: Picture, model: Mapping[str, Any]) -> str | None:
    """RISE's kernel, which is a box to within a few per cent; outside of the image lies the model's mean colour."""
    if "mean" not in model:
        return None
    mean, ends = 255 * np.array(model["mean"]), 2 * [(RISE_WIDTH // 2,) * 2] + [(0, 0)]
    values = np.pad(picture - mean, ends)
    for axis in (0, 1):
        values = _convolved(values, np.full(RISE_WIDTH, 1 / RISE_WIDTH), axis)
    return webp(np.round(np.clip(values + mean, 0, 255)).astype(np.uint8), 2 * SIDE)


def _convolved(values: Pixels, weights: NDArray[np.float64], axis: int) -> Pixels:
    """Along one axis, shorter by what the weights reach over; weights are symmetrical."""
    return np.apply_along_axis(np.convolve, axis, values, weights, "valid")
