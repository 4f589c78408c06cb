"""Oxford-IIIT Pets: 37 breeds of cats and dogs, with masks."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from xai_bench.data.boxes import annotated, one_based
from xai_bench.data.files import Entry, existing_folder
from xai_bench.data.masks import MaskFile
from xai_bench.data.published import Listing, Published, Regions
from xai_bench.errors import InvalidValueError
from xai_bench.types import Box, Card

_PET, _BORDER = frozenset({1}), frozenset({3})  # of the trimaps; 2 is background


@dataclass(frozen=True, kw_only=True, eq=False)
class Pets(Published):
    """Oxford-IIIT Pets; the region is the pet of the trimap, whose border counts neither way, or the box of its head.

    Boxes are published for `trainval` alone, and there not for every image.
    """

    card: ClassVar[Card] = Card(
        "pets",
        source="Parkhi et al. 2012, Oxford-IIIT Pets",
        summary="37 breeds of cats and dogs; masks or boxes of the head",
    )
    splits: ClassVar[tuple[str, ...]] = ("trainval", "test")

    regions: Regions = "mask"
    download: bool = False

    def published(self) -> Listing:
        if self.regions == "boxes" and self.split != "trainval":
            raise InvalidValueError(f"boxes of pets exist for split 'trainval' alone, got split {self.split!r}")
        folder = self.root / "oxford-iiit-pet"
        pets = self.from_torchvision(
            lambda datasets: datasets.OxfordIIITPet(self.root, self.split, download=self.download),
            download=self.download,
        )
        marks = existing_folder(folder / "annotations" / ("trimaps" if self.regions == "mask" else "xmls"))
        labelled = zip(pets._images, pets._labels, strict=True)
        return Listing(tuple(pets.classes), [self._entry(file, label, marks) for file, label in labelled])

    def _entry(self, file: Path, label: int, marks: Path) -> Entry:
        if self.regions == "mask":
            return Entry(file.stem, file, label, MaskFile(marks / f"{file.stem}.png", _PET, _BORDER))
        return Entry(file.stem, file, label, boxes=_boxes(marks / f"{file.stem}.xml"))


def _boxes(xml: Path) -> tuple[Box, ...]:
    return tuple(one_based(thing.box) for thing in annotated(xml)) if xml.is_file() else ()
