"""LIME's weights of an image's segments under a removal: what the three LIME metrics of removals ask."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from xai_bench.engine import Case, Masks, Quickshift, Unit
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.metric import Metric
from xai_bench.metrics.reasons import Reasons, combined, unless
from xai_bench.removal import Fill, Removal
from xai_bench.seeding import Noise
from xai_bench.types import Output

SOURCE = "Balasubramanian & Feizi 2023, arXiv:2211.14646, experiment with LIME; Ribeiro et al. 2016"
SHARE, WIDTH, ALPHA = 0.5, 0.25, 1.0  # of segments kept; of the kernel; of the ridge: lime_image's defaults
Weights = Float64[Tensor, " n"]


@dataclass(frozen=True)
class Perturbations(Masks):
    """The whole image, then images of which each segment is kept with probability one half."""

    removal: Removal
    unit: Unit
    samples: int

    def keep(self, case: Case, row: int) -> Tensor:
        partition = case.partition(self.unit)
        chosen = self.chosen(case, row)
        return partition.pixels(row, padded(chosen, partition.width).to(case.batch.images.device))

    def chosen(self, case: Case, row: int) -> Bool[Tensor, "S n"]:
        """Which segments are kept in each; the same whatever the removal."""
        noise = case.scene.noise("lime")
        alone = Noise(noise.seed, noise.purpose, (noise.ids[row],))
        chosen = alone.uniform(self.samples, case.partition(self.unit).counts[row])[0] < SHARE
        chosen[0] = True
        return chosen


def padded(chosen: Bool[Tensor, "S n"], width: int) -> Bool[Tensor, "S m"]:
    """As many places as the image with most segments has."""
    return torch.nn.functional.pad(chosen, (0, width - chosen.shape[1]))


def regressed(chosen: Bool[Tensor, "S n"], values: Float64[Tensor, " S"]) -> Weights:
    """Coefficients of a ridge regression with an intercept, near perturbations counting more.

    Distance d = 1 - sqrt(share kept), the cosine distance to the whole image; weight exp(-d^2 / (2 width^2)).
    """
    kept = chosen.double()
    distance = 1 - kept.mean(1).sqrt()
    weight = (-(distance**2) / (2 * WIDTH**2)).exp()
    share = weight / weight.sum()
    scaled = weight.sqrt()[:, None] * (kept - share @ kept)
    target = weight.sqrt() * (values - share @ values)
    gram = scaled @ scaled.T + ALPHA * torch.eye(len(kept), dtype=torch.float64)  # never larger than samples x samples
    weights: Tensor = scaled.T @ torch.linalg.solve(gram, target)
    return weights


@dataclass(frozen=True)
class LimeMetric(Metric):
    """A metric of how well LIME's segment weights under a removal agree with what is known of the image.

    Segments are those of `unit`: the paper takes quickshift (kernel 2), a grid of 16 x 16 pixels and SLIC (250).
    """

    facts: ClassVar = {
        "kept": f"{SHARE:g}",
        "kernel": f"exp(-d^2 / (2 {WIDTH:g}^2)) of cosine distance",
        "regression": f"ridge(alpha={ALPHA:g}, intercept)",
    }

    removal: Removal = field(default_factory=Fill)
    unit: Unit = field(default_factory=lambda: Quickshift(2.0))
    samples: int = 512
    output: Output = "probability"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 2:
            raise InvalidValueError(f"samples of {self.card.name} must be at least 2, got {self.samples}")

    @property
    def questions(self) -> tuple[Perturbations, ...]:
        return (Perturbations(self.removal, self.unit, self.samples),)

    def undefined(self, case: Case) -> Reasons:
        values = case.look(self.questions[0], self.output)
        moves = unless(values.amax(1) > values.amin(1), "output is the same whatever is removed")
        return combined(super().undefined(case), moves)

    def weights(self, case: Case) -> list[Weights]:
        """LIME's weight of each segment of each image, on the CPU."""
        question = self.questions[0]

        def regress() -> list[Weights]:
            values = case.look(question, self.output).nan_to_num(0.0, 0.0, 0.0)
            return [regressed(question.chosen(case, row), values[row]) for row in range(len(values))]

        return case.once(("lime", question, self.output), regress)


@dataclass(frozen=True)
class TopSegments(LimeMetric):
    """A LIME metric of the segments with the highest weights."""

    facts: ClassVar = {**LimeMetric.facts, "ties": "first"}

    top: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.top < 1:
            raise InvalidValueError(f"top of {self.card.name} must be at least 1, got {self.top}")

    def undefined(self, case: Case) -> Reasons:
        counts = torch.tensor(case.partition(self.unit).counts)
        few = unless(counts > self.top, f"image has no more than {self.top} segments")
        return combined(super().undefined(case), few)

    def pixels(self, case: Case, row: int) -> Bool[Tensor, "H W"]:
        """The pixels of an image's segments with the highest weights."""
        weights, partition = self.weights(case)[row], case.partition(self.unit)
        chosen = torch.zeros(1, partition.width, dtype=torch.bool)
        chosen[0, weights.argsort(descending=True, stable=True)[: self.top]] = True
        return partition.pixels(row, chosen.to(case.batch.images.device))[0]
