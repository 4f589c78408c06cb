"""PASCAL VOC 2007 and 2012: 20 classes, several in an image, with boxes and masks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from xai_bench.data.boxes import annotated, one_based
from xai_bench.data.files import Entry
from xai_bench.data.masks import IGNORE, MaskFile
from xai_bench.data.published import Listing, Published, Regions
from xai_bench.errors import UnknownNameError
from xai_bench.types import Box, Card

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Voc(Published):
    """PASCAL VOC; a sample is an image and one class present in it, with id `IMAGE:CLASS`.

    The region is the union of the class's boxes, difficult ones too, or the class in the segmentation, whose border
    counts neither way; only the images of the segmentation challenge have one. `difficult="skip"` leaves out the
    samples whose boxes are all difficult, as TorchRay's pointing game does.
    """

    card: ClassVar[Card] = Card(
        "voc",
        source="Everingham et al. 2010 and 2015, PASCAL VOC",
        summary="20 classes, a sample per image and class; boxes with difficult, or masks",
    )
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "trainval", "test")

    year: Literal[2007, 2012] = 2007
    regions: Regions = "boxes"
    difficult: Literal["keep", "skip"] = "keep"
    download: bool = False

    @property
    def name(self) -> str:
        return f"voc{self.year}/{self.split}"

    def published(self) -> Listing:
        if self.year == 2012 and self.split == "test":  # its annotations were never published
            raise UnknownNameError.of("split of voc 2012", self.split, self.splits[:3])
        images = self._images()
        return Listing(CLASSES, [entry for image in images for entry in self._entries(image)])

    @property
    def _folder(self) -> Path:
        return self.root / "VOCdevkit" / f"VOC{self.year}"

    def _images(self) -> list[Path]:
        kind, of = ("Main", "VOCDetection") if self.regions == "boxes" else ("Segmentation", "VOCSegmentation")
        missing = self.download and not (self._folder / "ImageSets" / kind / f"{self.split}.txt").is_file()
        listed = self.from_torchvision(
            lambda datasets: getattr(datasets, of)(self.root, str(self.year), self.split, download=missing),
            download=self.download,
        )
        return list(map(Path, listed.images))

    def _entries(self, image: Path) -> Iterator[Entry]:
        """One for each class of an image."""
        things: dict[str, list[Box]] = {}
        for name, box in annotated(self._folder / "Annotations" / f"{image.stem}.xml"):
            things.setdefault(name, []).append(one_based(box))
        for name, boxes in things.items():
            if name not in CLASSES:
                raise UnknownNameError.of(f"class in {image.stem}.xml", name, CLASSES)
            if self.difficult == "keep" or not all(box.difficult for box in boxes):
                yield self._entry(image, CLASSES.index(name), tuple(boxes))

    def _entry(self, image: Path, label: int, boxes: tuple[Box, ...]) -> Entry:
        sample = f"{image.stem}:{CLASSES[label]}"
        if self.regions == "boxes":
            return Entry(sample, image, label, boxes=boxes)
        drawn = self._folder / "SegmentationClass" / f"{image.stem}.png"
        return Entry(sample, image, label, MaskFile(drawn, frozenset({label + 1}), frozenset({IGNORE})))
