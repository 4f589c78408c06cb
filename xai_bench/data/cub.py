"""CUB-200-2011: 200 kinds of birds, with masks and boxes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from xai_bench.data.boxes import corners
from xai_bench.data.files import Entry, existing_folder
from xai_bench.data.masks import MaskFile
from xai_bench.data.published import Listing, Published, Regions
from xai_bench.errors import DataError
from xai_bench.types import Box, Card

MOST = frozenset(range(128, 256))  # a mask's grey is the share of annotators who painted the bird there


@dataclass(frozen=True, kw_only=True, eq=False)
class Cub(Published):
    """CUB-200-2011; the region is where more than half of the annotators painted the bird, or the bird's box."""

    card: ClassVar[Card] = Card(
        "cub", source="Wah et al. 2011, CUB-200-2011", summary="200 kinds of birds; masks or boxes"
    )
    splits: ClassVar[tuple[str, ...]] = ("train", "test")

    regions: Regions = "mask"

    def published(self) -> Listing:
        folder = self.folder("CUB_200_2011")
        images, train = _Rows(folder / "images.txt"), _Rows(folder / "train_test_split.txt")
        classes, labels = _Rows(folder / "classes.txt"), _Rows(folder / "image_class_labels.txt")
        numbers = {classes[number]: label for label, number in enumerate(classes)}
        marks, wanted = self._marks(folder), str(int(self.split == "train"))
        return Listing(
            tuple(numbers),
            [
                Entry(file, folder / "images" / file, numbers[classes[labels[number]]], **marks(number, file))
                for number, file in images.items()
                if train[number] == wanted
            ],
        )

    def _marks(self, folder: Path) -> Callable[[str, str], dict[str, Any]]:
        """What marks the bird of an image's number and file."""
        if self.regions == "boxes":
            rows = _Rows(folder / "bounding_boxes.txt")
            return lambda number, _: {"boxes": (_box(rows, number),)}
        # an archive of its own, unpacked beside the images or beside their folder
        beside = next((place for place in (folder, folder.parent) if (place / "segmentations").is_dir()), folder)
        masks = existing_folder(beside / "segmentations")
        return lambda _, file: {"mask": MaskFile((masks / file).with_suffix(".png"), MOST)}


class _Rows(dict[str, str]):
    """What a text file of lines `NUMBER VALUE` says of each number; DataError where it says nothing."""

    def __init__(self, file: Path) -> None:
        self.file = file.name
        try:
            super().__init__(line.split(maxsplit=1) for line in file.read_text(encoding="utf-8").strip().splitlines())
        except FileNotFoundError as error:
            raise DataError(f"no file {str(file)!r}") from error
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {self.file}: its lines must be a number and a value: {error}") from error

    def __missing__(self, number: str) -> str:
        raise DataError(f"{self.file} says nothing of number {number}")


def _box(rows: _Rows, number: str) -> Box:
    try:
        return corners(rows[number].split())
    except ValueError as error:
        raise DataError(f"a box must be x, y, width and height, got {rows[number]!r} in {rows.file}") from error
