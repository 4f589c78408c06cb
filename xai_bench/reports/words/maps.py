"""A map in words: where it looks, how concentrated it is, whether that is on the object, and what speaks against."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xai_bench.errors import InvalidValueError
from xai_bench.grammar import counted, percent

ROWS, COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")
WIDE = 0.75  # of the spread that pixels all over the image have: beyond, no one place names them
EDGE = 1e-9  # a place on the border of two thirds is in the middle one, in a mirror too
FEW = 0.1  # share of the image: less is scattered rather than spread
Values = NDArray[Any]


def described(relevance: Values, region: NDArray[np.bool_] | None = None) -> str:
    """A few sentences on a map (H, W), signed; `region` (H, W) is the object, where it is known.

    "Looks at the upper left: half of the positive relevance lies on 3 % of the image. 62 % of it is on the object,
    which covers 12 % of the image. 20 % of all relevance speaks against the class."
    """
    if relevance.ndim != 2 or not relevance.size:
        raise InvalidValueError(f"a map to be described must be (H, W) and not empty, got {relevance.shape}")
    if region is not None and region.shape != relevance.shape:
        raise InvalidValueError(f"the region must be {relevance.shape}, the map's, got {region.shape}")
    values = np.asarray(relevance, np.float64)
    if lost := int((~np.isfinite(values)).sum()):
        said = "is" if lost == 1 else "are"
        return f"The map cannot be read: {counted(lost, 'pixel')} of {values.size:,} {said} not finite."
    if np.ptp(values) == 0:
        return f"The map is constant: every pixel is given {values.flat[0]:.3g}."
    positive = np.clip(values, 0, None)
    if not positive.any():
        return "No pixel speaks for the class: no relevance is positive."
    return " ".join(filter(None, (_place(positive), _object(positive, region), _signs(values))))


def _place(positive: Values) -> str:
    """Where the pixels lie that hold half of the positive relevance, and how few they are."""
    count, half = _half(positive)
    share = count / positive.size
    rows, columns = np.nonzero(half)
    height, width = positive.shape
    place = (rows.mean() + 0.5) / height, (columns.mean() + 0.5) / width
    spread = np.sqrt(rows.var() + columns.var()) / np.sqrt(((height**2 - 1) + (width**2 - 1)) / 12)
    if spread > WIDE:
        place = _side(place[0], _width(rows, height)), _side(place[1], _width(columns, width))
    if spread <= WIDE or place != (0.5, 0.5):
        looks = f"Looks at the {_third(*place)}"
    else:
        looks = "Is scattered over the image" if share < FEW else "Is spread over the image"
    return f"{looks}: half of the positive relevance lies on {percent(share)} of the image."


def _width(places: NDArray[np.intp], size: int) -> float:
    """How far pixels lie apart along one axis, of what those all over it do."""
    return float(places.std() / np.sqrt((size**2 - 1) / 12)) if size > 1 else 1.0


def _side(place: float, width: float) -> float:
    """The place along one axis of what fills the other one, as the left half does; the middle where it is no side."""
    return place if width <= WIDE and _part(place) != 1 else 0.5


def _half(positive: Values) -> tuple[int, NDArray[np.bool_]]:
    """How few pixels hold half of the relevance, and which: (H, W), with all that tie with the last of them."""
    ordered = np.sort(positive, axis=None)[::-1]
    held = np.cumsum(ordered)
    last = int(np.searchsorted(held, held[-1] / 2 * (1 - 1e-12)))
    found: NDArray[np.bool_] = positive >= ordered[last]
    return last + 1, found


def _third(row: float, column: float) -> str:
    """`upper left`, `centre`, `left` ... of a place given in shares of height and width."""
    vertical, horizontal = ROWS[_part(row)], COLUMNS[_part(column)]
    if vertical == "middle":
        return horizontal if horizontal == "centre" else f"{horizontal} side"
    return f"{vertical} {horizontal}" if horizontal != "centre" else f"{vertical} part"


def _part(place: float) -> int:
    """Which third: 0, 1 or 2."""
    return int(place >= 1 / 3 - EDGE) + int(place > 2 / 3 + EDGE)


def _object(positive: Values, region: NDArray[np.bool_] | None) -> str:
    if region is None:
        return ""
    if not region.any():
        return "No object is marked."
    if region.all():
        return "The object fills the image."
    share, area = float(positive[region].sum() / positive.sum()), float(region.mean())
    covers = f"which covers {percent(area)} of the image{_luck(share, area)}"
    return f"{_capital(_amount(share))} of it is on the object, {covers}."


def _luck(share: float, area: float) -> str:
    """What a map that knows nothing would have there."""
    if share == 0 or share >= 2 * area:
        return ""
    return ", hardly more than chance would put there" if share >= area else ", less than chance would put there"


def _signs(values: Values) -> str:
    against = float(-values[values < 0].sum() / np.abs(values).sum())
    return f"{_capital(_amount(against))} of all relevance speaks against the class." if against else ""


def _amount(share: float) -> str:
    return "none" if share == 0 else "all" if share == 1 else percent(share)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
