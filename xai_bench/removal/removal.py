"""What every removal is: a way for a model to see an image of which only part remains."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.seeding import Noise
from xai_bench.types import Card, Images, Keep, Logits

State = Tensor | None  # (B, ...) one row per image, so that the engine can pick rows; or nothing


class Removal(ABC):
    """Prepared once per image, seen many times. A frozen dataclass whose fields are its parameters."""

    card: ClassVar[Card]
    soft: ClassVar[bool] = True  # False: knows only 0 and 1

    @abstractmethod
    def prepare(self, model: VisionModel, images: Images, noise: Noise) -> State:
        """What does not depend on the mask, once per image; also refuses models that it cannot work with."""

    @abstractmethod
    def see(self, model: VisionModel, images: Images, keep: Keep, state: State) -> Logits:
        """Logits of the images with only the kept part visible."""

    def unfit(self, model: VisionModel) -> str:
        """Why this removal cannot work with this model, "" where it can; costs one forward pass on a black image."""
        images = torch.zeros(1, 3, *model.input_size, device=model.device)
        try:
            with model.ready(), torch.inference_mode():
                state = self.prepare(model, images, Noise(0, "probe", ("probe",)))
                self.see(model, images, torch.ones_like(images[:, 0]), state)
        except UnsupportedError as error:
            return str(error)
        return ""


class PixelRemoval(Removal):
    """A removal that puts other pixels in the place of removed ones."""

    @abstractmethod
    def prepare(self, model: VisionModel, images: Images, noise: Noise) -> Tensor:
        """The image when everything is removed, (B, 3, H, W) or broadcastable with B rows."""

    def see(self, model: VisionModel, images: Images, keep: Keep, state: State) -> Logits:
        return model(self.alter(images, keep, state))

    def alter(self, images: Images, keep: Keep, state: State) -> Images:
        """Kept pixels from the image, the others from the substrate."""
        assert state is not None
        return state + keep[:, None] * (images - state)


def puts_pixels(removal: Removal) -> bool:
    """Whether a removal does nothing but put the pixels it prepared in the place of others."""
    if not isinstance(removal, PixelRemoval):
        return False
    return type(removal).see is PixelRemoval.see and type(removal).alter is PixelRemoval.alter


def refuse_soft(removal: Removal, keep: Keep) -> None:
    """Refuse a mask with values other than 0 and 1, for removals that know nothing between."""
    between = keep[(keep != 0) & (keep != 1)]
    if between.numel():
        low, high = between.min().item(), between.max().item()
        raise InvalidValueError(
            f"removal {removal.card.name!r} knows only hidden (0) and visible (1), got a soft mask with values in "
            f"[{low:.3g}, {high:.3g}]"
        )
