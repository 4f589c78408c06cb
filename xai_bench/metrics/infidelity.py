"""Infidelity: by how much does the map mispredict what a perturbation costs?"""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.engine import Case, Masks, Pixel
from xai_bench.metrics.correlation import Rows
from xai_bench.metrics.metric import Metric
from xai_bench.metrics.reasons import combined, unless
from xai_bench.metrics.subset_correlation import drops
from xai_bench.metrics.subsets import RandomSquares, RandomSubsets, check_samples, check_size
from xai_bench.removal import Fill, PixelRemoval, Removal
from xai_bench.types import MetricCard, Output


@dataclass(frozen=True)
class Infidelity(Metric):
    """Mean square of I phi - (f(x) - f(x without the hidden pixels)) over random squares or random pixels.

    I is 1 on each hidden pixel, so that I phi is the map's sum over them (`perturbation="mask"`, for maps that share
    out the output); or the image minus what replaces it, summed over the colours in [0, 1] (`"difference"`, for maps
    that are gradients). `normalise` first scales each map by the factor that predicts the drops best, beta =
    mean(I phi drop) / mean((I phi)^2), so that the map's scale does not count.
    The factor may be negative, as in the authors' code and captum, so that with `normalise` a map and its negative
    score alike: what is measured is how well the map's differences predict the drops, whatever their sign.
    Undefined for a map that is constant or not finite; with `normalise`, also where hiding changes nothing, and for a
    map that is 0 wherever hidden.
    Yeh et al. 2019, definition 2.1 (equation 1); optimal scaling as in the authors' code and as captum's
    `normalize=True`, which is False there. Squares of a quarter of the side and their number are ours.
    """

    card: ClassVar = MetricCard(
        "infidelity",
        source="Yeh, Hsieh, Suggala, Inouye & Ravikumar 2019, arXiv:1901.09392, definition 2.1",
        summary="mean squared error of the map's prediction of what hiding part of the image costs",
        needs=frozenset({"maps", "ranking"}),
        better="lower",
        low=0.0,
        family="faithfulness",
        degree=2,
        exempt={
            "scale": "without `normalise` the map's scale is part of what it measures; with it the law holds",
            "monotone": "the map's values are added up",
        },
    )
    facts: ClassVar = {"drop": "clean minus altered", "place": "inside", "resampling": "none"}

    removal: Removal = field(default_factory=Fill)
    shape: Literal["square", "pixels"] = "square"  # one square, or pixels drawn at random
    size: int | float = 0.25  # below 1 a share of the shorter side, or of the pixels; from 1 on their number
    samples: int = 100
    perturbation: Literal["mask", "difference"] = "mask"
    normalise: bool = True
    output: Output = "probability"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size(self.size, "size of infidelity")
        check_samples(self.samples, "infidelity", 2)

    @property
    def questions(self) -> tuple[Masks, ...]:
        if self.shape == "square":
            return (RandomSquares(self.removal, self.size, self.samples),)
        return (RandomSubsets(self.removal, Pixel(), self.size, self.samples),)

    def unfit(self, model: VisionModel) -> str:
        if self.perturbation == "difference" and not isinstance(self.removal, PixelRemoval):
            return (
                f"infidelity with perturbation 'difference' needs a removal that puts other pixels in the place of "
                f"hidden ones, not {self.removal.card.name!r}; use perturbation 'mask'"
            )
        return super().unfit(model)

    @property
    def degree(self) -> int | None:
        """2 with the optimal factor, which grows with the output; without it the map's own scale stands against it."""
        return self.card.degree if self.normalise else None

    def sums(self, case: Case) -> Rows:
        """I phi for each perturbation."""
        return case.hidden(self.questions[0], times_change=self.perturbation == "difference")

    def undefined(self, case: Case) -> tuple[str, ...]:
        if not self.normalise:
            return super().undefined(case)
        still = (drops(case, self.questions[0], self.output) == 0).all(1)
        empty = (self.sums(case) == 0).all(1)
        return combined(
            super().undefined(case), unless(~still, "all drops are 0"), unless(~empty, "map is 0 wherever hidden")
        )

    def misses(self, case: Case) -> Rows:
        """The squared error of each perturbation."""
        sums, drop = self.sums(case), drops(case, self.questions[0], self.output)
        if self.normalise:
            sums = sums * ((sums * drop).sum(1) / sums.square().sum(1))[:, None]
        return (sums - drop).square()

    def errors(self, case: Case) -> Tensor | None:
        """Monte-Carlo standard error: another draw of the perturbations would move the score by about as much."""
        return self.misses(case).std(1) / math.sqrt(self.samples)

    def __call__(self, case: Case) -> Tensor:
        return self.misses(case).mean(1)
