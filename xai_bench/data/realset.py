"""The annotated pictures of the real test set, found through the environment variable XAI_BENCH_REALSET."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from xai_bench.data.boxes import corners
from xai_bench.data.files import Entry, FileData, existing_folder
from xai_bench.data.masks import MaskFile
from xai_bench.errors import DataError
from xai_bench.types import Box, Card

VARIABLE = "XAI_BENCH_REALSET"
IMAGENET_CLASSES = tuple(map(str, range(1000)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Realset(FileData):
    """A part of the real test set; `path` is the folder that holds all its parts."""

    path: str | Path | None = None  # None: the environment variable's

    def part(self) -> Path:
        """The folder of this part; DataError where the set is nowhere."""
        root = self.path or os.environ.get(VARIABLE)
        if not root:
            raise DataError(f"dataset {self.card.name} needs path=, or the environment variable {VARIABLE}; both unset")
        return existing_folder(existing_folder(Path(root)) / self.card.name)

    def annotations(self) -> list[dict[str, Any]]:
        """The part's annotations.json."""
        file = self.part() / "annotations.json"
        try:
            found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {file}: {error}") from error
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageNetVal(Realset):
    """ImageNet validation images with label and boxes; the region is the union of the boxes.

    The files were squashed to 227 x 227; `sizes` and boxes are the originals', and a crop restores the proportions.
    """

    card: ClassVar[Card] = Card(
        "imagenet_val", source="ILSVRC2012 validation; boxes of Choe et al. 2020", summary="labels and boxes"
    )

    @property
    def classes(self) -> tuple[str, ...]:
        return IMAGENET_CLASSES

    def listed(self) -> Sequence[Entry]:
        images = self.part() / "images"
        return [_imagenet_entry(images, item) for item in self.annotations()]


def _imagenet_entry(images: Path, item: dict[str, Any]) -> Entry:
    width, height = item["orig_size"]
    boxes = tuple(_edges(box) for box in item["boxes_orig"])
    file = images / item["file"]
    return Entry(file.stem, file, item["label"], boxes=boxes, original=(height, width))


@dataclass(frozen=True, kw_only=True, eq=False)
class CocoCc(Realset):
    """COCO 2017 images with freely licensed pictures; the region is the mask of all categories known to ImageNet.

    The label is the first ImageNet class of the first such category; images without one are left out.
    """

    card: ClassVar[Card] = Card("coco_cc", source="Lin et al. 2014, COCO 2017", summary="masks and boxes")

    @property
    def classes(self) -> tuple[str, ...]:
        return IMAGENET_CLASSES

    def listed(self) -> Sequence[Entry]:
        return [_coco_entry(self.part(), item) for item in self.annotations() if item["imagenet_targets"]]


def _coco_entry(part: Path, item: dict[str, Any]) -> Entry:
    targets: dict[str, list[int]] = item["imagenet_targets"]
    objects = [thing for thing in item["objects"] if thing["category"] in targets]
    file = part / "images" / item["file"]
    return Entry(
        id=file.stem,
        path=file,
        label=next(iter(targets.values()))[0],
        mask=MaskFile(part / "masks" / f"{file.stem}.png", frozenset(thing["category_id"] for thing in objects)),
        boxes=tuple(corners(thing["bbox"], difficult=bool(thing["iscrowd"])) for thing in objects),
    )


def _edges(box: Sequence[Any]) -> Box:
    x0, y0, x1, y1 = map(float, box)
    return Box(x0, y0, x1, y1)


@dataclass(frozen=True, kw_only=True, eq=False)
class CcMasks(Realset):
    """Two photos with object masks whose border pixels count neither way; no labels."""

    card: ClassVar[Card] = Card("cc_masks", source="google-coral/test_data", summary="a bird and a dog with masks")

    def listed(self) -> Sequence[Entry]:
        files = sorted(self.part().glob("*_segmentation.png"))
        return [Entry(file.stem, file, mask=MaskFile(file.with_name(f"{file.stem}_mask.png"))) for file in files]
