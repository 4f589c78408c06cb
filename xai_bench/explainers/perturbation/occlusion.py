"""A window slides over the image and hides what is under it."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.errors import InvalidValueError
from xai_bench.explainers.asked import Explained
from xai_bench.explainers.perturbation.altered import Part, Perturbation
from xai_bench.removal import Fill, Removal
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class Occlusion(Perturbation):
    """How far the output falls while a pixel is hidden, the mean over the windows that hide it.

    Signed: below 0 where the output rises. Constant where one window hides the whole image, or the output does not
    change. Windows begin at the upper left; those at the right and lower edge may be smaller, and then a flipped image
    does not have the flipped map.

    Source: Zeiler & Fergus 2014, section 4.2, whose square is grey; the mean over windows is captum's. They give no
    side for 224 pixels: these are ours.
    """

    card: ClassVar = ExplainerCard(
        "occlusion",
        source="Zeiler & Fergus 2014, arXiv:1311.2901",
        summary="fall of the output while a sliding window hides the pixel",
        family="perturbation",
        passes="(n_windows + 1) F",
    )

    side: int = 32  # pixels
    stride: int = 16  # pixels from a window to the next
    removal: Removal = field(default_factory=Fill)
    output: Explained = "probability"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.stride <= self.side:
            raise InvalidValueError(
                "explainer occlusion needs a stride of at least 1 and at most its side, or pixels stay between "
                f"windows, got stride={self.stride} and side={self.side}"
            )

    def __call__(self, model: VisionModel, images: Images, targets: Targets, noise: Noise) -> Maps:  # type: ignore[override]
        rows, columns = (self._windows(length).to(images.device) for length in images.shape[2:])
        down, across = len(rows), len(columns)
        beyond = torch.cat([rows, torch.zeros_like(rows[:1])])  # after the last window nothing is hidden

        def keep(part: Part) -> Tensor:
            places = torch.arange(part.start, part.stop, device=images.device)
            return ~(beyond[places // across, :, None] & columns[places % across, None])

        counts = [down * across + 1] * len(images)
        values = torch.stack(self.outputs(model, images, targets, noise, counts, keep))
        falls = (values[:, -1:] - values[:, :-1]).view(-1, down, across).to(images)
        one, other = rows.to(images), columns.to(images)
        return (one.T @ falls @ other) / torch.outer(one.sum(0), other.sum(0))

    def _windows(self, length: int) -> Bool[Tensor, "n length"]:
        """Which pixels of an axis each window hides; as many as reach the end."""
        count = 1 + -(-max(0, length - self.side) // self.stride)
        begins, places = self.stride * torch.arange(count)[:, None], torch.arange(length)
        return (places >= begins) & (places < begins + self.side)
