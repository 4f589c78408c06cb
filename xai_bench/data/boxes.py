"""Boxes as published: as four numbers, and in the XML of PASCAL VOC."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, ParseError, parse

from xai_bench.errors import DataError
from xai_bench.types import Box


class Annotated(NamedTuple):
    """An object of an XML annotation: its class and its box's numbers as they stand."""

    name: str
    box: Box


def corners(numbers: Sequence[Any], *, difficult: bool = False) -> Box:
    """The box at (x, y) of a width and a height, as CUB and COCO write it."""
    x, y, width, height = map(float, numbers)
    return Box(x, y, x + width, y + height, difficult)


def annotated(path: Path) -> list[Annotated]:
    """The objects of an XML file of PASCAL VOC's format; DataError where it is none. Parts of objects are left out."""
    try:
        return [_object(element) for element in parse(path).getroot().iter("object")]  # noqa: S314 - expat bounds entities
    except (OSError, ParseError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise DataError(f"cannot read {path.name}: {reason}") from error


def one_based(box: Box) -> Box:
    """A box of PASCAL VOC: its first pixel is 1, its last one is inside."""
    return box._replace(x0=box.x0 - 1, y0=box.y0 - 1)


def zero_based(box: Box) -> Box:
    """A box of ImageNet: its first pixel is 0, its last one is inside."""
    return box._replace(x1=box.x1 + 1, y1=box.y1 + 1)


def _object(element: Element) -> Annotated:
    edges = [element.findtext(f"bndbox/{edge}") for edge in ("xmin", "ymin", "xmax", "ymax")]
    name = element.findtext("name")
    if name is None or None in edges:
        raise ValueError("an object without a name or without its four edges")
    x0, y0, x1, y1 = (float(edge) for edge in edges if edge is not None)
    return Annotated(name, Box(x0, y0, x1, y1, element.findtext("difficult", "0").strip() == "1"))
