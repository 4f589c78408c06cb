"""Food-101: photos of 101 dishes."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.data.files import Entry
from xai_bench.data.published import Listing, Published
from xai_bench.types import Card


@dataclass(frozen=True, kw_only=True, eq=False)
class Food101(Published):
    """Food-101; nothing is known of where the dish is. The labels of `train` are noisy, as published."""

    card: ClassVar[Card] = Card("food101", source="Bossard et al. 2014, Food-101", summary="101 dishes; labels alone")
    splits: ClassVar[tuple[str, ...]] = ("train", "test")
    can_know: ClassVar[frozenset[str]] = frozenset({"labels"})

    download: bool = False

    def published(self) -> Listing:
        food = self.from_torchvision(
            lambda datasets: datasets.Food101(self.root, self.split, download=self.download),
            download=self.download,
        )
        labelled = zip(food._image_files, food._labels, strict=True)
        return Listing(
            tuple(food.classes),
            [Entry(f"{file.parent.name}/{file.stem}", file, label) for file, label in labelled],
        )
