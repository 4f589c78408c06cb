"""Pictures of every kind to float32 RGB in [0, 1], and the geometry that takes them to a model's size."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from xai_bench.errors import DataError, InvalidValueError, UnknownNameError
from xai_bench.types import Box, Images

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
MODES = ("squash", "crop")
_EXIF_ORIENTATION, _QUARTER_TURNS = 0x0112, (5, 6, 7, 8)
# What Pillow's decoders raise on damaged files.
_READ_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, Image.DecompressionBombError)


@dataclass(frozen=True)
class Preprocessing:
    """How an image of any size becomes one of the model's size."""

    size: tuple[int, int]  # (H, W)
    mode: str = "squash"  # squash: both sides to size; crop: shorter side to floor(size / crop_pct), centre crop
    crop_pct: float = 1.0  # in (0, 1], read by crop only
    interpolation: str = "bicubic"  # of Pillow, antialiased, on 8-bit RGB, as torchvision and timm do

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise InvalidValueError(f"size must be at least 1 x 1, got {self.size[0]} x {self.size[1]}")
        if self.mode not in MODES:
            raise UnknownNameError.of("preprocessing mode", self.mode, MODES)
        if not 0 < self.crop_pct <= 1:
            raise InvalidValueError(f"crop_pct must be in (0, 1], got {self.crop_pct}")
        if self.interpolation not in INTERPOLATIONS:
            raise UnknownNameError.of("interpolation", self.interpolation, INTERPOLATIONS)

    def geometry(self, original: tuple[int, int]) -> "Geometry":
        """Where a picture of the original size (H, W) goes."""
        return Geometry(original, self._scaled(original), self.size, self.interpolation)

    def _scaled(self, original: tuple[int, int]) -> tuple[int, int]:
        if self.mode == "squash":
            return self.size
        height, width = (math.floor(side / self.crop_pct) for side in self.size)
        if height != width:  # timm's ResizeKeepRatio
            ratio = min(original[0] / height, original[1] / width)
            return max(height, round(original[0] / ratio)), max(width, round(original[1] / ratio))
        shorter = min(original)  # torchvision's Resize rounds the longer side down
        return height * original[0] // shorter, height * original[1] // shorter


@dataclass(frozen=True)
class Geometry:
    """One scaling and one centre crop, the same for a picture, its masks and its boxes."""

    original: tuple[int, int]  # (H, W) that boxes are measured in
    scaled: tuple[int, int]
    size: tuple[int, int]
    interpolation: str

    @property
    def offset(self) -> tuple[int, int]:
        """First row and column that the crop keeps."""
        top, left = (round((scaled - size) / 2) for scaled, size in zip(self.scaled, self.size, strict=True))
        return top, left

    def picture(self, picture: Image.Image) -> Float32[Tensor, "3 H W"]:
        """An RGB picture of any size, scaled and cropped."""
        return _tensor(self._apply(picture, INTERPOLATIONS[self.interpolation]))

    def mask(self, mask: NDArray[np.bool_]) -> Bool[Tensor, "H W"]:
        """A mask of any size, by nearest neighbour."""
        scaled = self._apply(Image.fromarray(mask.astype(np.uint8)), Image.Resampling.NEAREST)
        return torch.from_numpy(np.asarray(scaled) > 0)

    def box(self, box: Box) -> Box:
        """A box of the original in pixels of the result; it may reach outside."""
        (top, left), down, across = self.offset, *(s / o for s, o in zip(self.scaled, self.original, strict=True))
        return Box(box.x0 * across - left, box.y0 * down - top, box.x1 * across - left, box.y1 * down - top, box[4])

    def filled(self, boxes: Sequence[Box]) -> Bool[Tensor, "H W"]:
        """The union of boxes of the original: pixels whose centre lies inside one."""
        region = torch.zeros(self.size, dtype=torch.bool)
        for box in map(self.box, boxes):
            x0, y0, x1, y1 = (max(0, math.ceil(edge - 0.5)) for edge in box[:4])
            region[y0:y1, x0:x1] = True
        return region

    def _apply(self, picture: Image.Image, how: Image.Resampling) -> Image.Image:
        (height, width), (top, left) = self.scaled, self.offset
        scaled = picture.resize((width, height), how)
        return scaled.crop((left, top, left + self.size[1], top + self.size[0]))


def read_picture(path: Path) -> Image.Image:
    """A file as 8-bit RGB, turned upright, alpha on white; DataError `cannot read NAME: ...` where it cannot be."""
    try:
        with Image.open(path) as picture:
            return to_rgb(ImageOps.exif_transpose(picture))
    except _READ_ERRORS as error:
        raise DataError(f"cannot read {path.name}: {_reason(error)}") from error


def read_mask(path: Path) -> NDArray[np.int64]:
    """A mask's values (H, W), turned upright; palette masks give their indices, colours their largest channel."""
    try:
        with Image.open(path) as picture:
            values = np.asarray(ImageOps.exif_transpose(picture)).astype(np.int64)
    except _READ_ERRORS as error:
        raise DataError(f"cannot read {path.name}: {_reason(error)}") from error
    if values.ndim == 2:
        return values
    colours = 1 if values.shape[-1] == 2 else 3  # without alpha
    largest: NDArray[np.int64] = values[..., :colours].max(axis=-1)
    return largest


def size_of(path: Path) -> tuple[int, int] | None:
    """(H, W) of an upright picture from its header alone; None where that cannot be read."""
    try:
        with Image.open(path) as picture:
            turned = picture.getexif().get(_EXIF_ORIENTATION) in _QUARTER_TURNS
            return picture.size if turned else picture.size[::-1]
    except _READ_ERRORS:
        return None


def to_rgb(picture: Image.Image) -> Image.Image:
    """Any Pillow mode as 8-bit RGB: 16 bits are scaled to 8, alpha is composited on white."""
    if picture.mode.startswith("I") or picture.mode == "F":
        return Image.fromarray(_eight_bits(picture)).convert("RGB")
    if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> NDArray[np.uint8]:
    values = np.asarray(picture).astype(np.float64)
    top = 1.0 if picture.mode == "F" else 65535.0
    if not (values.min() >= 0 and values.max() <= top):
        raise DataError(f"grey values must be in [0, {top:g}], got [{values.min():g}, {values.max():g}]")
    return np.rint(values * (255 / top)).astype(np.uint8)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture in a known format"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return str(error) or type(error).__name__


def _tensor(picture: Image.Image) -> Float32[Tensor, "3 H W"]:
    pixels = torch.from_numpy(np.array(picture, dtype=np.float32))
    return pixels.div_(255).permute(2, 0, 1).contiguous()


def to_images(given: object) -> Images:
    """What users hand in, as (B, 3, H, W) float32 RGB in [0, 1].

    Takes torch (B, 3, H, W) or (3, H, W) and numpy (B, H, W, 3) or (H, W, 3), uint8 or float in [0, 1],
    a Pillow picture of any mode, or a list of Pillow pictures of one size. InvalidValueError for anything else.
    """
    match given:
        case Tensor():
            return _checked(_unit(given, given.dtype == torch.uint8, given.is_floating_point()), "torch (B, 3, H, W)")
        case np.ndarray():
            return _from_numpy(given)
        case Image.Image():
            return _from_pictures([given])
        case list() | tuple() if given and all(isinstance(item, Image.Image) for item in given):
            return _from_pictures(given)
    raise InvalidValueError(f"images must be a torch tensor, a numpy array or Pillow pictures, got {_kind(given)}")


def _from_numpy(array: NDArray[Any]) -> Images:
    floating = np.issubdtype(array.dtype, np.floating)
    values = torch.from_numpy(np.array(array, dtype=np.float32 if floating else array.dtype, order="C"))
    images = _unit(values, array.dtype == np.uint8, floating)
    last = images.movedim(-1, -3) if images.ndim in (3, 4) else images
    return _checked(last.contiguous(), "numpy (B, H, W, 3)", tuple(array.shape))


def _from_pictures(pictures: Sequence[Image.Image]) -> Images:
    sizes = sorted({picture.size for picture in pictures})
    if len(sizes) > 1:
        (w0, h0), (w1, h1) = sizes[0], sizes[-1]
        raise InvalidValueError(f"pictures of one batch must have one size, got {h0} x {w0} and {h1} x {w1} (H x W)")
    try:
        return torch.stack([_tensor(to_rgb(ImageOps.exif_transpose(picture))) for picture in pictures])
    except _READ_ERRORS as error:  # Pillow decodes late
        raise DataError(f"cannot read a picture: {_reason(error)}") from error


def _unit(values: Tensor, bytes_given: bool, floating: bool) -> Tensor:  # noqa: FBT001 - two facts about a dtype
    if bytes_given:
        return values.to(torch.float32) / 255
    if floating:
        return values.to(torch.float32)
    raise InvalidValueError(f"images must be uint8 or floating point, got {str(values.dtype).removeprefix('torch.')}")


def _checked(images: Tensor, layout: str, seen: tuple[int, ...] | None = None) -> Images:
    batch = images[None] if images.ndim == 3 else images
    if batch.ndim != 4 or batch.shape[1] != 3 or not batch.numel():
        raise InvalidValueError(f"images must be {layout}, got shape {seen or tuple(images.shape)}")
    low, high = batch.amin().item(), batch.amax().item()
    if not (low >= 0 and high <= 1):
        raise InvalidValueError(
            f"images must be RGB in [0, 1] before normalisation, got values in [{low:.3g}, {high:.3g}]"
        )
    return batch


def _kind(given: object) -> str:
    if isinstance(given, list | tuple):
        inside = sorted({type(item).__name__ for item in given})
        return f"a {type(given).__name__} of {' and '.join(inside) or 'nothing'}"
    return type(given).__name__
