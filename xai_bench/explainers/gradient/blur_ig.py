"""Blur integrated gradients: gradients gathered while a blurred image comes into focus."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from xai_bench.adapters import VisionModel
from xai_bench.errors import InvalidValueError
from xai_bench.explainers.gradient.checked import check_count
from xai_bench.explainers.gradient.complete import Complete
from xai_bench.explainers.gradient.copies import Copies, Numbers, add_by_row, copies, gradients
from xai_bench.explainers.gradient.gaussian import blur_matrix, blurred
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class BlurIntegratedGradients(Complete):
    """Integrated gradients on the path of Gaussian blurs from the image blurred with `sigma` to the image itself.

    The path is the polygon through `steps` + 1 blurred images, of equal steps in the blur's standard deviation as in
    the authors' code, with the gradient taken at the middle of each side. Signed, summed over colours; sums to what
    the logit gains on the path, up to `completeness_error`. Reflected at the border, where the authors' blur fades to
    black. A map of zeros for an image of one colour, which no blur changes.
    """

    card: ClassVar = ExplainerCard(
        "blur_ig",
        source="Xu, Venugopalan & Sundararajan 2020, arXiv:2004.03383, equation 3",
        summary="gradients gathered while the blurred image comes into focus",
        family="gradient",
        passes="steps F + steps B",
    )

    steps: int = 50
    sigma: float = (
        0.2  # of the widest blur, in sides of the image's shorter one; the authors' 50 pixels are 0.22 of 224
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self, "steps", self.steps)
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise InvalidValueError(
                f"sigma of blur_ig is in sides of the image and must be above 0, got {self.sigma!r}"
            )

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:
        path = _Path(images, self._widest(images), self.steps)
        total = torch.zeros_like(images, dtype=torch.float64)
        for rows, numbers in copies(len(images), self.steps):
            sharper, softer = path.ends(rows, numbers)
            found = gradients(model, (sharper + softer) / 2, targets[rows])
            add_by_row(total, rows, (sharper - softer) * found)
        return total.sum(1).float()

    def start(self, model: VisionModel, images: Images) -> Images:  # noqa: ARG002
        return blurred(images, self._widest(images))

    def _widest(self, images: Images) -> float:
        return self.sigma * min(images.shape[2:])


class _Path:
    """The blurred images of a path, made when asked for: point 0 is the image, point `steps` the widest blur."""

    def __init__(self, images: Images, widest: float, steps: int) -> None:
        sigmas = [widest * step / steps for step in range(steps + 1)]
        self.images, self.points = images, steps + 1
        self.height, self.width = (
            torch.stack([blur_matrix(side, sigma) for sigma in sigmas]).to(images.device) for side in images.shape[2:]
        )

    def ends(self, rows: Numbers, sides: Numbers) -> tuple[Copies, Copies]:
        """The sharper and the softer end of these sides of the polygon; neighbours' common ends are made once."""
        first = rows * self.points + sides
        needed, places = torch.unique(torch.cat([first, first + 1]), return_inverse=True)
        images, points = self.images[needed // self.points], needed % self.points
        made = self.height[points, None] @ images @ self.width[points, None].mT
        return made[places[: len(rows)]], made[places[len(rows) :]]
