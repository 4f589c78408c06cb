"""What is done at random to an image, and to its mask with it, each time it is seen in training."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32
from timm.data.transforms_factory import create_transform
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from xai_bench.adapters.model import Colour
from xai_bench.catalogue import Catalogue, check_values, describe
from xai_bench.data.image import INTERPOLATIONS, Geometry, Preprocessing
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.types import Card

Pair = tuple[float, float]


class Seen(NamedTuple):
    """One image as the model will see it, before normalisation, with its object mask where there is one."""

    image: Float32[Tensor, "3 H W"]  # RGB in [0, 1]
    region: Bool[Tensor, "H W"] | None


@dataclass(frozen=True)
class Whole(Preprocessing):
    """The picture as it is, nothing scaled or cut off, for an augmentation that does so itself.

    `size` is what comes out of that augmentation; generated images are drawn at it.
    """

    def geometry(self, original: tuple[int, int]) -> Geometry:
        return Geometry(original, original, original, self.interpolation)


@dataclass(frozen=True)
class Augmentation(ABC):
    """Random changes to one image; chance is taken from the global states of torch, numpy and random, see `drawn`."""

    card: ClassVar[Card]
    moves_masks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_values(self)

    @abstractmethod
    def __call__(self, seen: Seen, size: tuple[int, int], mean: Colour) -> Seen:
        """The image and its mask, changed alike, at `size` (H, W); what is erased or moved in gets the mean colour."""

    def source(self, preprocessing: Preprocessing) -> Preprocessing:
        """How pictures are to be read for it."""
        return Whole(preprocessing.size, interpolation=preprocessing.interpolation)


@dataclass(frozen=True)
class Unchanged(Augmentation):
    """Every image as the data set gives it, the same each time."""

    card: ClassVar[Card] = Card("none", source="ours", summary="the images as they are")

    def __call__(self, seen: Seen, size: tuple[int, int], mean: Colour) -> Seen:  # noqa: ARG002
        return seen

    def source(self, preprocessing: Preprocessing) -> Preprocessing:
        return preprocessing


@dataclass(frozen=True)
class Light(Augmentation):
    """A crop of most of the picture, scaled to size, mirrored half of the time: ERSM's published augmentation."""

    card: ClassVar[Card] = Card(
        "light", source="arXiv 2604.06893, from the authors' code", summary="random resized crop and mirror"
    )

    scale: Pair = (0.8, 1.0)  # least and largest share of the picture's area
    ratio: Pair = (3 / 4, 4 / 3)  # least and largest width of the crop in its heights
    flip: float = 0.5  # how often it is mirrored

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise InvalidValueError(f"scale of augmentation light must be two shares that rise, got {self.scale}")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise InvalidValueError(f"ratio of augmentation light must be two numbers that rise, got {self.ratio}")
        if not 0 <= self.flip <= 1:
            raise InvalidValueError(f"flip of augmentation light must be a share, got {self.flip}")

    def __call__(self, seen: Seen, size: tuple[int, int], mean: Colour) -> Seen:  # noqa: ARG002
        crop = v2.RandomResizedCrop(list(size), self.scale, self.ratio, antialias=True)
        change = v2.Compose([crop, v2.RandomHorizontalFlip(self.flip)])
        if seen.region is None:
            return Seen(change(tv_tensors.Image(seen.image)).as_subclass(Tensor).clamp(0, 1), None)
        image, region = change(tv_tensors.Image(seen.image), tv_tensors.Mask(seen.region))
        return Seen(image.as_subclass(Tensor).clamp(0, 1), region.as_subclass(Tensor))


@dataclass(frozen=True)
class Timm(Augmentation):
    """timm's own training transforms, on 8-bit pictures, which know no masks; fields are those of create_transform."""

    card: ClassVar[Card] = Card("timm", source="timm.data.create_transform", summary="timm's training transforms")
    moves_masks: ClassVar[bool] = False

    scale: Pair = (0.08, 1.0)
    ratio: Pair = (3 / 4, 4 / 3)
    hflip: float = 0.5
    vflip: float = 0.0
    color_jitter: float = 0.4
    auto_augment: str | None = None  # such as rand-m9-mstd0.5, augmix-m3 or 3a
    re_prob: float = 0.0  # of random erasing
    interpolation: str = "random"
    grayscale_prob: float = 0.0
    gaussian_blur_prob: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interpolation not in {*INTERPOLATIONS, "random"}:
            raise UnknownNameError.of("interpolation of augmentation timm", self.interpolation, INTERPOLATIONS)
        try:
            self._transform((32, 32), (0.5, 0.5, 0.5))
        except (AssertionError, ValueError, KeyError, NotImplementedError) as error:
            raise InvalidValueError(f"timm makes no training transform of {describe(self)}: {error}") from error

    def __call__(self, seen: Seen, size: tuple[int, int], mean: Colour) -> Seen:
        picture = functional.to_pil_image((seen.image * 255).round().to(torch.uint8))
        image: Tensor = self._transform(size, mean)(picture)
        # back from about the mean, around which timm erases
        return Seen((image + torch.tensor(mean).view(3, 1, 1)).clamp(0, 1), None)

    def _transform(self, size: tuple[int, int], mean: Colour) -> Callable[[Any], Tensor]:
        options = {item.name: getattr(self, item.name) for item in fields(self)}
        made: Callable[[Any], Tensor] = create_transform(size, is_training=True, mean=mean, std=(1, 1, 1), **options)
        return made


AUGMENTATIONS = Catalogue("augmentation", Augmentation, (Unchanged, Light, Timm))  # type: ignore[type-abstract]


@contextmanager
def drawn(seed: int) -> Iterator[None]:
    """The global random states start from the seed, and are put back: an image's changes depend on nothing else."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002 - timm draws from it
    torch.default_generator.manual_seed(seed)  # no GPU's: an image is made on the processor, and that is put back
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])
