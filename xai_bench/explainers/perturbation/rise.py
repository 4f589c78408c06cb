"""Random masks, each weighted with what the model says of the image behind it."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from xai_bench.adapters import VisionModel
from xai_bench.errors import InvalidValueError
from xai_bench.explainers.asked import Explained
from xai_bench.explainers.perturbation.altered import Part, Perturbation, stream
from xai_bench.removal import Fill, Removal
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class RISE(Perturbation):
    """Mean of random masks M, each weighted with the output of the image behind it: sum of p(x M) M / (samples p).

    A mask is a grid of cells x cells that are visible with probability p, enlarged by bilinear interpolation to
    cells + 1 cells and cut at a random place. Where the removal knows only 0 and 1 the cells keep hard edges (nearest
    instead of bilinear), so that a pixel is visible with probability p there too. Not negative where the output is a
    probability; what tells pixels apart is the difference, not the level. Where the output never changes it is the mean
    mask, which is noise. The `samples` of the default are what a CPU
    affords, and its maps are grainier than `rise@paper`'s: the noise falls with the root of the number of masks.

    Source: Petsiuk et al. 2018, equation 6 and section 3.2; `paper` as for ResNet-50 (they took 4000 for VGG),
    `repository` as in the notebook of eclique/RISE.
    """

    card: ClassVar = ExplainerCard(
        "rise",
        source="Petsiuk et al. 2018, arXiv:1806.07421",
        summary="mean of random masks, weighted with the output behind them",
        family="perturbation",
        passes="samples F",
        exempt={"flip": "draws masks"},
    )
    protocols: ClassVar = {
        "paper": {"samples": 8000, "cells": 7, "p": 0.5},
        "repository": {"samples": 5000, "cells": 10, "p": 0.1},
    }

    samples: int = 500
    cells: int = 7
    p: float = 0.5
    removal: Removal = field(default_factory=Fill)
    output: Explained = "probability"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 1 or not 1 <= self.cells <= 224 or not 0 < self.p <= 1:
            raise InvalidValueError(
                "explainer rise needs samples of at least 1, cells of 1 to 224 and p above 0 and at most 1, got "
                f"samples={self.samples}, cells={self.cells}, p={self.p:g}"
            )

    def __call__(self, model: VisionModel, images: Images, targets: Targets, noise: Noise) -> Maps:  # type: ignore[override]
        grids = (stream(noise, "cells").uniform(self.samples, self.cells, self.cells) < self.p).to(images.device)
        shifts = stream(noise, "shifts").uniform(self.samples, 2).to(images.device)
        down, across = (self._crops(length).to(images.device) for length in images.shape[2:])

        def keep(part: Part) -> Tensor:
            some = slice(part.start, part.stop)
            return self.masks(grids[part.row, some], shifts[part.row, some], down, across)

        maps, counts = torch.zeros_like(images[:, 0]), [self.samples] * len(images)
        for look in self.looks(model, images, targets, noise, counts, keep):
            maps[look.part.row] += torch.einsum("n,nyx->yx", look.values.to(look.keep), look.keep)
        return maps / (self.samples * self.p)

    def masks(
        self,
        grids: Bool[Tensor, "n s s"],
        shifts: Float[Tensor, "n 2"],
        down: Float[Tensor, "c s H"],
        across: Float[Tensor, "d s W"],
    ) -> Float[Tensor, "n H W"]:
        """The grids, enlarged and cut; shifts in cells."""
        rows, columns = ((shift * len(crops)).long() for shift, crops in zip(shifts.T, (down, across), strict=True))
        return torch.einsum("nsy,nst,ntx->nyx", down[rows], grids.float(), across[columns])

    def _crops(self, length: int) -> Float[Tensor, "c s length"]:
        """How much each cell weighs in each pixel of an axis, for each place at which the enlarged grid can be cut."""
        cell = -(-length // self.cells)
        options = {"mode": "linear", "align_corners": False} if self.removal.soft else {"mode": "nearest-exact"}
        enlarged = F.interpolate(torch.eye(self.cells)[None], (self.cells + 1) * cell, **options)[0]
        return enlarged.unfold(1, length, 1)[:, :cell].transpose(0, 1)
