"""ImageNet (ILSVRC2012): 1000 classes, with boxes where they are asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from xai_bench.data.boxes import annotated, zero_based
from xai_bench.data.files import Entry, existing_folder
from xai_bench.data.published import Listing, Published
from xai_bench.errors import DataError
from xai_bench.types import Box, Card


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageNet(Published):
    """ImageNet as torchvision lays it out, by which its labels are those of pretrained models.

    The region is the union of the class's boxes. An image whose annotation is missing has none: of `train` about half.
    """

    card: ClassVar[Card] = Card(
        "imagenet",
        source="Russakovsky et al. 2015, ILSVRC2012",
        summary="1000 classes; boxes where their folder is given",
    )
    splits: ClassVar[tuple[str, ...]] = ("train", "val")

    split: str = "val"
    boxes: str | Path | None = None  # the folder of the annotations, NAME.xml at any depth

    def published(self) -> Listing:
        found = self.from_torchvision(lambda datasets: datasets.ImageNet(self.root, self.split))
        meta = self.from_torchvision(lambda datasets: datasets.imagenet.load_meta_file(self.root))
        names: Mapping[str, tuple[str, ...]] = meta[0]
        # torchvision numbers the folders there are; the first hundred alone keep their numbers, others would not
        labels = {wnid: label for label, wnid in enumerate(sorted(names))}
        entries = [Entry(Path(file).stem, Path(file), labels[found.wnids[place]]) for file, place in found.imgs]
        return Listing(tuple(", ".join(names[wnid]) for wnid in labels), entries)

    def completed(self, chosen: Sequence[Entry]) -> Sequence[Entry]:
        if self.boxes is None:
            return chosen
        folder = existing_folder(Path(self.boxes).expanduser())
        files = {file.stem: file for file in folder.rglob("*.xml")}
        if not files:
            raise DataError(f"no annotations NAME.xml in folder {str(folder)!r}")
        return [replace(entry, boxes=_boxes(files.get(entry.id), entry.path.parent.name)) for entry in chosen]


def _boxes(annotation: Path | None, wnid: str) -> tuple[Box, ...]:
    things = annotated(annotation) if annotation else []
    return tuple(zero_based(box) for name, box in things if name == wnid)
