"""Shapley values of the segments of an image, by weighted least squares."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.engine import Slic, Unit
from xai_bench.errors import InvalidValueError
from xai_bench.explainers.asked import Explained
from xai_bench.explainers.perturbation.altered import Outputs, Part, Perturbation, shown, spread, stream
from xai_bench.removal import Fill, Removal
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Maps, Targets

Coalitions = Bool[Tensor, "S n"]  # which units are visible; the first has none, the last all
Weights = Float64[Tensor, " S-2"]  # of all but the first and the last


@dataclass(frozen=True)
class KernelSHAP(Perturbation):
    """The Shapley value of a pixel's unit: its share in the change of the output from no unit visible to all.

    Values add up to that change exactly. All coalitions are looked at where `samples` suffices for them, and the
    values are exact; else sizes are drawn by SHAP's kernel, each coalition with its complement. With fewer than two
    samples per unit they are not determined, and what is left open is shared out evenly. Signed. Constant where the
    output never changes.

    Source: Lundberg & Lee 2017, theorem 2; pairs as in Covert & Lee 2021, arXiv:2012.01536.
    """

    card: ClassVar = ExplainerCard(
        "kernel_shap",
        source="Lundberg & Lee 2017, arXiv:1705.07874",
        summary="Shapley value of the pixel's unit, by weighted least squares",
        family="perturbation",
        passes="min(samples, 2 ** n_units) F",
        exempt={"flip": "draws coalitions; superpixels of the mirrored image are others"},
    )

    unit: Unit = field(default_factory=lambda: Slic(50))
    samples: int = 512
    removal: Removal = field(default_factory=Fill)
    output: Explained = "logit"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 4:
            raise InvalidValueError(
                "samples of explainer kernel_shap must be at least 4, of which two are of no unit and of all, got "
                f"{self.samples}"
            )

    def __call__(self, model: VisionModel, images: Images, targets: Targets, noise: Noise) -> Maps:  # type: ignore[override]
        partition = self.unit.split(images)
        drawn = [self.coalitions(count, noise, row) for row, count in enumerate(partition.counts)]

        def keep(part: Part) -> Tensor:
            return shown(partition, part, drawn[part.row][0], images)

        counts = [len(chosen) for chosen, _ in drawn]
        values = self.outputs(model, images, targets, noise, counts, keep)
        shares = [shapley(*some, value) for some, value in zip(drawn, values, strict=True)]
        return spread(partition, shares, images)

    def coalitions(self, count: int, noise: Noise, row: int) -> tuple[Coalitions, Weights]:
        """All coalitions of so many units with their kernel weights, or a draw in which they count alike."""
        if 2**count <= self.samples:
            chosen = (torch.arange(2**count)[:, None] >> torch.arange(count)) % 2 == 1
            return chosen, kernel(chosen[1:-1].sum(1), count)
        pairs = -(-(self.samples - 2) // 2)
        sizes = torch.arange(1, count)
        likely = 1 / (sizes * (count - sizes)).double()  # the kernel times the number of coalitions of that size
        lots = stream(noise, "sizes", row).uniform(pairs)[0].double()
        size = 1 + torch.searchsorted((likely.cumsum(0) / likely.sum())[:-1].contiguous(), lots, right=True)
        place = stream(noise, "units", row).uniform(pairs, count)[0].argsort(1).argsort(1)
        half = place < size[:, None]
        both = torch.stack([half, ~half], 1).flatten(0, 1)[: self.samples - 2]
        ends = torch.zeros(1, count, dtype=torch.bool)
        return torch.cat([ends, both, ~ends]), torch.ones(len(both), dtype=torch.float64)


def kernel(size: Tensor, count: int) -> Float64[Tensor, " S"]:
    """SHAP's weight of a coalition of this size: (n - 1) / (C(n, s) s (n - s))."""
    n, s = torch.tensor(count, dtype=torch.float64), size.double()
    choices = (torch.lgamma(n + 1) - torch.lgamma(s + 1) - torch.lgamma(n - s + 1)).exp()
    weights: Tensor = (n - 1) / (choices * s * (n - s))
    return weights


def shapley(chosen: Coalitions, weights: Weights, values: Outputs) -> Float64[Tensor, " n"]:
    """The least squares whose coefficients add up to the change from none to all.

    Equal shares of the change, plus what is orthogonal to them: the constraint holds whatever the rest is.
    """
    share = (values[-1] - values[0]) / chosen.shape[1]
    kept, root = chosen[1:-1].double(), weights.sqrt()
    rest = values[1:-1] - values[0] - share * kept.sum(1)
    free = root[:, None] * (kept - kept.mean(1, keepdim=True))
    values_of_units: Tensor = share + torch.linalg.pinv(free) @ (root * rest)
    return values_of_units
