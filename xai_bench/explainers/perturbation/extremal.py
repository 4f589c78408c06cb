"""Masks of a given area that keep as much of the output as they can."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.explainers.asked import Explained, plain, read
from xai_bench.explainers.perturbation.altered import Perturbation, stream
from xai_bench.explainers.perturbation.smooth_masks import excess, grid, kernel, smooth
from xai_bench.explainers.upsample import upsample
from xai_bench.removal import Blur, PixelRemoval, Removal
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Maps, Targets

RATE, MOMENTUM = 0.01, 0.9
PRICE, GROWTH = 300.0, 16.5  # of a wrong area; by how much it grows until the end


@dataclass(frozen=True)
class Extremal(Perturbation):
    """The sum over areas of the smooth mask of that area behind which the output is highest.

    A mask is a grid of parameters in [0, 1], made smooth by a maximum over a kernel, and found by gradient ascent of
    the output minus a growing price for sorted cells that differ from a mask of that area. Between 0 and the number
    of areas; a pixel that smaller masks keep too is higher. Of an image whose output does not depend on the mask the
    map is constant; a model that no gradient passes is refused. The removal must put pixels and take soft masks. The
    default is an eighth of the paper's iterations, which `extremal@paper` has.

    Source: Fong et al. 2019, equations 3 to 7 and section 4 ("preserve" game, masks of several areas summed). Ours:
    the kernel's form, the enlarging by bilinear interpolation, the removal, that the price begins after the first step,
    since a flat mask has no order, and that the output's slopes are in units of the greatest at that step, since where
    they are small against the price rounding would give the order.
    """

    card: ClassVar = ExplainerCard(
        "extremal",
        source="Fong et al. 2019, arXiv:1910.08485",
        summary="smooth masks of given areas that keep the output highest, summed",
        family="perturbation",
        passes="n_areas * iterations F + n_areas * iterations B",
        exempt={"flip": "a search of many steps, which rounding turns another way"},
    )
    protocols: ClassVar = {"paper": {"areas": (0.025, 0.05, 0.1, 0.2), "iterations": 800}}

    areas: tuple[float, ...] = (0.05, 0.1, 0.2)  # share of the image
    iterations: int = 100
    cells: int = 28  # along the image's shorter side
    sigma: float = 0.09375  # in sides, of the image's shorter one: 21 of 224 pixels
    removal: Removal = field(default_factory=Blur)
    output: Explained = "logit"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.areas or not all(0 < area < 1 for area in self.areas):
            raise InvalidValueError(f"areas of explainer extremal are shares between 0 and 1, got {self.areas}")
        if self.iterations < 1 or not 1 <= self.cells <= 224 or not 0 < self.sigma * self.cells <= 16:
            raise InvalidValueError(
                "explainer extremal needs iterations of at least 1, cells of 1 to 224 and sigma above 0 and at most 16 "
                f"cells, got iterations={self.iterations}, cells={self.cells}, sigma={self.sigma:g}"
            )
        if not (isinstance(self.removal, PixelRemoval) and self.removal.soft):
            raise InvalidValueError(
                "removal of explainer extremal must put pixels and take soft masks, such as blur or fill, got "
                f"{self.removal.card.name!r}"
            )

    def __call__(self, model: VisionModel, images: Images, targets: Targets, noise: Noise) -> Maps:  # type: ignore[override]
        state = self._pixels.prepare(plain(model), images, stream(noise, "removal")).expand_as(images)
        # one image at a time: beside others it would be rounded another way, and a search remembers that
        each = zip(torch.split(images, 1), torch.split(state, 1), targets, strict=True)
        return torch.stack([self._search(model, image, blank, target).sum(0) for image, blank, target in each])

    @property
    def _pixels(self) -> PixelRemoval:
        assert isinstance(self.removal, PixelRemoval)
        return self.removal

    def _search(
        self, model: VisionModel, image: Images, state: Images, target: Tensor
    ) -> Float[Tensor, "n height width"]:
        """The mask of each area."""
        count, size = len(self.areas), (image.shape[2], image.shape[3])
        areas, weights = image.new_tensor(self.areas), kernel(self.sigma * self.cells).to(image)
        cells = image.new_full((count, *grid(size, self.cells, len(weights) // 2)), 0.5)
        speed, whole = torch.zeros_like(cells), image.expand(count, -1, -1, -1)
        steepest = image.new_zeros(())
        for step in range(self.iterations):
            covered = smooth(cells.requires_grad_(), weights)
            logits = plain(model)(self._pixels.alter(whole, upsample(covered, whole), state))
            gain = read(model, logits, target.expand(count), self.output).sum()
            uphill = _slope(model, gain, cells)
            steepest = steepest if step else uphill.abs().max()
            if not steepest:
                return areas.view(-1, 1, 1).expand(count, *size)
            price = PRICE * GROWTH ** (step / self.iterations) if step else 0.0
            (downhill,) = torch.autograd.grad(price * excess(covered, areas).sum(), cells)
            speed = MOMENTUM * speed + uphill / steepest - downhill
            cells = (cells.detach() + RATE * speed).clamp(0, 1)
        return upsample(smooth(cells, weights), whole)


def _slope(model: VisionModel, gain: Tensor, cells: Tensor) -> Tensor:
    """Of the output, by the parameters of the masks."""
    found = torch.autograd.grad(gain, cells, retain_graph=True, allow_unused=True)[0] if gain.requires_grad else None
    if found is None:
        raise UnsupportedError(
            f"no gradient of model {model.label!r} reaches the masks of extremal: a part of it is not differentiable"
        )
    return found
