"""Data sets: images with what is known about them."""

from collections.abc import Sequence
from typing import Any

from xai_bench.catalogue import Catalogue
from xai_bench.data.blocks import Blocks
from xai_bench.data.coco import Coco
from xai_bench.data.cub import Cub
from xai_bench.data.dataset import Data, Sample
from xai_bench.data.folder import Folder
from xai_bench.data.food101 import Food101
from xai_bench.data.image import Preprocessing, read_picture, to_images
from xai_bench.data.imagenet import ImageNet
from xai_bench.data.pets import Pets
from xai_bench.data.picture import Picture
from xai_bench.data.planted import Planted
from xai_bench.data.realset import CcMasks, CocoCc, ImageNetVal
from xai_bench.data.voc import Voc
from xai_bench.errors import InvalidValueError

DATA: tuple[type[Data], ...] = (
    *(Planted, Blocks, Folder, Picture, Cub, Pets, Food101, Voc, Coco, ImageNet),
    *(ImageNetVal, CocoCc, CcMasks),
)
CATALOGUE = Catalogue("dataset", Data, DATA)  # type: ignore[type-abstract]


def load_data(
    name: str,
    *,
    split: str | None = None,
    n: int | None = None,
    seed: int = 0,
    batch_size: int = 32,
    preprocessing: Preprocessing | None = None,
    size: int | Sequence[int] | None = None,
    label: str | None = None,
    **options: Any,
) -> Data:
    """A data set by name: an iterable of Batch; `len` counts its images.

    `split` is the data set's own default where none is given: `test`, or `val` where no test labels are published.
    `n` is how many images (None: all there are, 256 for generated ones), `size` is short for squashing to that size,
    `options` are the fields of the data set's class. Unknown names, keys and values of a wrong type are refused.
    """
    common = {"n": n, "seed": seed, "batch_size": batch_size, "label": label or ""}
    chosen = {"split": split, "preprocessing": _preprocessing(preprocessing, size)}
    given = {key: value for key, value in chosen.items() if value is not None}
    return CATALOGUE.build({"name": name, **common, **given, **options})


def knowing(what: str) -> tuple[str, ...]:
    """The names of the data sets whose batches may carry it: labels, regions, distractors, ignore or boxes."""
    return tuple(name for name, kind in CATALOGUE.items() if what in kind.can_know)


def _preprocessing(given: Preprocessing | None, size: object) -> Preprocessing | None:
    match size:
        case None:
            return given
        case _ if given is not None:
            raise InvalidValueError(f"give size or preprocessing, not both, got size={size!r} and {given!r}")
        case int() if not isinstance(size, bool):
            return Preprocessing((size, size))
        case [int(height), int(width)]:
            return Preprocessing((height, width))
    raise InvalidValueError(f"size must be a whole number or (height, width), got {size!r}")


__all__ = [
    "CATALOGUE",
    "DATA",
    "Data",
    "Preprocessing",
    "Sample",
    "knowing",
    "load_data",
    "read_picture",
    "to_images",
]
