"""Removed pixels are inpainted from the visible ones."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from skimage.restoration import inpaint_biharmonic
from torch import Tensor
from torch.nn import functional

from xai_bench.adapters import VisionModel
from xai_bench.catalogue import check_values
from xai_bench.errors import InvalidValueError
from xai_bench.removal.removal import PixelRemoval, State, refuse_soft
from xai_bench.seeding import Noise
from xai_bench.types import Card, Images, Keep


@dataclass(frozen=True)
class Inpaint(PixelRemoval):
    """Removed pixels take the smoothest (biharmonic) continuation of the visible ones, computed anew for every mask.

    Slow: one sparse system per altered image, solved on a CPU. Knows only 0 and 1: a soft mask raises
    InvalidValueError. With nothing visible the image has the model's mean colour. Values stay within the range of the
    visible ones, channel by channel.

    Images longer than `side` are inpainted small (ours): cells take the mean of their visible pixels, cells without
    any are inpainted, and removed pixels take the result, enlarged bilinearly; visible pixels are not touched. `side`
    None inpaints at full resolution, as scikit-image does: about a second and 0.3 GB for an image of 224 x 224, ten
    seconds and 0.7 GB at 384 x 384.

    Source: Damelin & Hoang 2018 (doi 10.1155/2018/3950312), scikit-image's `inpaint_biharmonic`.
    """

    card: ClassVar[Card] = Card(
        name="inpaint",
        source="Damelin & Hoang 2018, as in skimage.restoration.inpaint_biharmonic",
        summary="removed pixels are inpainted from the visible ones (slow)",
    )
    soft: ClassVar[bool] = False

    side: int | None = 56  # pixels of the longer side while inpainting

    def __post_init__(self) -> None:
        check_values(self)
        if self.side is not None and self.side < 1:
            raise InvalidValueError(f"side of removal inpaint is a number of pixels from 1 on, got {self.side!r}")

    def prepare(self, model: VisionModel, images: Images, noise: Noise) -> Tensor:  # noqa: ARG002
        """The model's mean colour, (B, 3, 1, 1): what is left where nothing is visible."""
        return images.new_tensor(model.mean).view(3, 1, 1).expand(len(images), 3, 1, 1)

    def alter(self, images: Images, keep: Keep, state: State) -> Images:
        """Kept pixels from the image, the others inpainted."""
        refuse_soft(self, keep)
        assert state is not None
        visible = keep[:, None]
        small, share = _reduced(images * visible, visible, self._size(images))
        painted = torch.stack([*map(_painted, small, share[:, 0] > 0, state)]) if len(images) else small
        if painted.shape != images.shape:
            painted = functional.interpolate(painted, images.shape[2:], mode="bilinear")
        return torch.where(visible > 0, images, painted)

    def _size(self, images: Images) -> tuple[int, int]:
        height, width = images.shape[2:]
        scale = 1.0 if self.side is None else min(1.0, self.side / max(height, width))
        return max(1, round(height * scale)), max(1, round(width * scale))


def _reduced(shown: Tensor, visible: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The mean of each cell's visible pixels, 0 where there is none, and the share of its pixels that is visible."""
    share = functional.adaptive_avg_pool2d(visible, size)
    return functional.adaptive_avg_pool2d(shown, size) / torch.where(share > 0, share, 1), share


def _painted(image: Tensor, visible: Tensor, colour: Tensor) -> Tensor:
    """(3, h, w), its hidden pixels inpainted."""
    if visible.all():
        return image
    if not visible.any():
        return colour.expand_as(image)
    pixels, hidden = image.double().cpu().numpy(), (~visible).cpu().numpy()
    return torch.from_numpy(inpaint_biharmonic(pixels, hidden, channel_axis=0)).to(image)
