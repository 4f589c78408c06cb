"""Completeness: whether a map sums to what the image's content changes about the output."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from xai_bench.engine import Case, Masks
from xai_bench.metrics.metric import Metric
from xai_bench.metrics.reasons import Reasons, combined, unless
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard, Output


@dataclass(frozen=True)
class _Nothing(Masks):
    """The image of which nothing is left."""

    removal: Removal

    def keep(self, case: Case, row: int) -> Tensor:  # noqa: ARG002
        return torch.zeros_like(case.maps[:1], dtype=torch.bool)


@dataclass(frozen=True)
class Completeness(Metric):
    """|sum of the map - gain| / |gain|, the gain being the output of the image less that of the image all removed.

    0 for a complete map, 0.01 where it is off by one per cent: of integrated gradients, the error of the quadrature.
    `removal` must be the explainer's own baseline: `fill` with black is that of `ig`, `deeplift` and `input_x_gradient`
    at their defaults. Explainers that promise no sum have a score too, and it shows. Undefined where nothing is gained.

    Source: Sundararajan, Taly & Yan 2017, section 3 (completeness); relative to the gain: ours.
    """

    card: ClassVar = MetricCard(
        "completeness",
        source="Sundararajan, Taly & Yan 2017, arXiv:1703.01365, proposition 1",
        summary="how far the map's sum is from what the image adds to the output, as a share of it",
        needs=frozenset({"maps"}),
        better="lower",
        low=0.0,
        exempt={"scale": "the map's sum is what it measures", "monotone": "the map's values are added up"},
    )
    facts: ClassVar = {"resampling": "none"}

    removal: Removal = field(default_factory=lambda: Fill("black"))
    output: Output = "logit"

    @property
    def questions(self) -> tuple[Masks, ...]:
        return (_Nothing(self.removal),)

    def undefined(self, case: Case) -> Reasons:
        finite = unless(case.maps.flatten(1).isfinite().all(1), "map is not finite")
        nothing = unless(self.gain(case) != 0, "the image adds nothing to the output")
        return combined(super().undefined(case), finite, nothing)

    def gain(self, case: Case) -> Float64[Tensor, " B"]:
        """The output of the image less that of nothing."""
        return case.scene.output(self.output) - case.look(self.questions[0], self.output)[:, 0]

    def __call__(self, case: Case) -> Tensor:
        gain = self.gain(case)
        return (case.maps.double().sum((1, 2)).cpu() - gain).abs() / gain.abs()
