"""LIME's weights of an image's segments under a removal: what the three LIME metrics of removals ask."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from xai_bench.engine import Case, Masks, Quickshift, Unit
from xai_bench.engine.lime import ALPHA, SHARE, WIDTH, Weights, drawn, regressed
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.metric import Metric
from xai_bench.metrics.reasons import Reasons, combined, unless
from xai_bench.removal import Fill, Removal
from xai_bench.seeding import Noise
from xai_bench.types import Output

SOURCE = "Balasubramanian & Feizi 2023, arXiv:2211.14646, experiment with LIME; Ribeiro et al. 2016"


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
        return drawn(alone, self.samples, case.partition(self.unit).counts[row])


def padded(chosen: Bool[Tensor, "S n"], width: int) -> Bool[Tensor, "S m"]:
    """As many places as the image with most segments has."""
    return torch.nn.functional.pad(chosen, (0, width - chosen.shape[1]))


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
