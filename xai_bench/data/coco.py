"""COCO 2014 and 2017: 80 classes, several in an image, with outlines and boxes; crowds count neither way."""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from xai_bench.data.boxes import corners
from xai_bench.data.files import Entry
from xai_bench.data.masks import Drawing, Mask
from xai_bench.data.published import LAYOUT_ERRORS, Listing, Published, Regions
from xai_bench.errors import DataError, UnsupportedError
from xai_bench.seeding import digest
from xai_bench.types import Box, Card

Thing = Mapping[str, Any]  # an annotation as it stands in the file


@dataclass(frozen=True, kw_only=True, eq=False)
class Coco(Published):
    """COCO; a sample is an image and one class present in it, with id `IMAGE:CLASS`.

    The region is the union of the class's objects, or of their boxes. Its crowds (`iscrowd`) count neither way where
    no object covers them; a class of which an image has crowds alone makes no sample.
    """

    card: ClassVar[Card] = Card(
        "coco", source="Lin et al. 2014, COCO", summary="80 classes, a sample per image and class; masks or boxes"
    )
    splits: ClassVar[tuple[str, ...]] = ("train", "val")

    split: str = "val"
    year: Literal[2014, 2017] = 2017
    regions: Regions = "mask"

    @property
    def name(self) -> str:
        return f"coco{self.year}/{self.split}"

    def published(self) -> Listing:
        file = self.folder("annotations") / f"instances_{self.split}{self.year}.json"
        pictures = self.folder(f"{self.split}{self.year}")
        if self.regions == "mask":
            _pycocotools()  # refused now, not at the first image
        try:
            return self._listing(json.loads(file.read_bytes()), pictures)
        except FileNotFoundError as error:
            raise DataError(f"no file {str(file)!r}") from error
        except LAYOUT_ERRORS as error:
            raise DataError(f"cannot read {file.name}: {type(error).__name__}: {error}") from error

    def _listing(self, index: Mapping[str, Any], pictures: Path) -> Listing:
        classes = sorted(index["categories"], key=lambda category: int(category["id"]))
        labels = {one["id"]: label for label, one in enumerate(classes)}
        images = {image["id"]: image for image in index["images"]}
        samples: dict[tuple[int, int], list[Thing]] = {}
        for thing in index["annotations"]:
            samples.setdefault((thing["image_id"], labels[thing["category_id"]]), []).append(thing)
        lost = next((image for image, _ in samples if image not in images), None)
        if lost is not None:
            raise DataError(f"annotations speak of image {lost}, which instances_{self.split}{self.year}.json lacks")
        names = tuple(str(one["name"]) for one in classes)
        return Listing(names, list(self._entries(samples, images, names, pictures)))

    def _entries(
        self,
        samples: Mapping[tuple[int, int], Sequence[Thing]],
        images: Mapping[int, Thing],
        names: Sequence[str],
        pictures: Path,
    ) -> Iterator[Entry]:
        for (number, label), things in samples.items():
            image, objects, crowds = images[number], *_parted(things)
            if not objects:
                continue
            sample, file = f"{Path(image['file_name']).stem}:{names[label]}", pictures / image["file_name"]
            if self.regions == "mask":
                size = (image["height"], image["width"])
                yield Entry(sample, file, label, Outlines(size, _outlines(objects), _outlines(crowds)))
            else:
                yield Entry(sample, file, label, boxes=_boxes(objects), ignored=_boxes(crowds))


@dataclass(frozen=True)
class Outlines(Mask):
    """Polygons and run lengths of COCO, filled in by its own library."""

    size: tuple[int, int]  # (H, W) they are drawn in
    objects: tuple[Any, ...]  # each as it stands in the file: a list of polygons, or run lengths
    crowds: tuple[Any, ...]

    def provenance(self) -> tuple[object, ...]:
        return (digest(self.size, json.dumps(self.objects), json.dumps(self.crowds)), [])

    def read(self) -> Drawing:
        region = _filled(self.objects, self.size)
        return region, _filled(self.crowds, self.size) & ~region


def _parted(things: Sequence[Thing]) -> tuple[list[Thing], list[Thing]]:
    """Objects and crowds."""
    crowds = [thing for thing in things if thing.get("iscrowd")]
    return [thing for thing in things if not thing.get("iscrowd")], crowds


def _outlines(things: Sequence[Thing]) -> tuple[Any, ...]:
    return tuple(thing["segmentation"] for thing in things)


def _boxes(things: Sequence[Thing]) -> tuple[Box, ...]:
    return tuple(corners(thing["bbox"]) for thing in things)


def _filled(outlines: Sequence[Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The union of outlines, (H, W)."""
    mask = _pycocotools()
    runs = [run for outline in outlines for run in mask.frPyObjects(_checked(outline, size), *size)]
    if not runs:
        return np.zeros(size, dtype=bool)
    with warnings.catch_warnings():  # pycocotools 2.0.11 gives its arrays in a way that numpy 2 no longer likes
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        return np.asarray(mask.decode(mask.merge(runs)), dtype=bool)


def _pycocotools() -> Any:
    try:
        from pycocotools import mask  # noqa: PLC0415 - an extra that most do without
    except ImportError as error:
        raise UnsupportedError(
            "masks of coco need pycocotools: pip install 'xai-bench[coco]', or ask for regions='boxes'"
        ) from error
    return mask


def _checked(outline: Any, size: tuple[int, int]) -> list[Any]:
    """What pycocotools takes as a list; it reads beyond the end of run lengths that are too short."""
    match outline:
        case [*polygons] if polygons and all(map(_is_polygon, polygons)):
            return polygons
        case {"counts": [*counts]} if all(isinstance(one, int) for one in counts) and sum(counts) == size[0] * size[1]:
            return [{"counts": counts, "size": list(size)}]
    raise DataError("an outline must be polygons of at least 3 points, or run lengths that add up to the image")


def _is_polygon(given: Any) -> bool:
    return isinstance(given, list) and len(given) >= 6 and len(given) % 2 == 0
