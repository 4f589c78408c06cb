"""LIME ablation: does the model fail once LIME's most important segments are gone?"""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.engine import Case, Masks
from xai_bench.metrics.lime import SOURCE, TopSegments
from xai_bench.metrics.mask_leakage import wrong_when_clean
from xai_bench.metrics.reasons import Reasons, combined
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class WithoutTop(Masks):
    """Each image without the segments with the highest LIME weights."""

    removal: Removal
    lime: TopSegments

    def keep(self, case: Case, row: int) -> Tensor:
        return ~self.lime.pixels(case, row)[None]


@dataclass(frozen=True)
class LimeAblation(TopSegments):
    """1 where the image is still classified correctly after its highest LIME segments are removed, else 0.

    `removal` is the one LIME perturbs with; `ablation` removes the segments, the same for every LIME, so that only the
    choice of segments is compared (the authors' code fills with grey). Undefined for images that are classified wrongly
    when clean, with no more segments than are taken, and where the output never changes.
    Source: Balasubramanian & Feizi 2023, experiment with LIME: the defaults, with grey as the removal.
    """

    card: ClassVar = MetricCard(
        "lime_ablation",
        source=SOURCE,
        summary="accuracy after LIME's highest segments under a removal are gone",
        needs=frozenset({"labels"}),
        better="lower",
        low=0.0,
        high=1.0,
        family="removal",
    )

    ablation: Removal = field(default_factory=Fill)

    def unfit(self, model: VisionModel) -> str:
        return super().unfit(model) or self.ablation.unfit(model)

    def undefined(self, case: Case) -> Reasons:
        return combined(super().undefined(case), wrong_when_clean(case))

    def __call__(self, case: Case) -> Tensor:
        assert case.batch.labels is not None
        self.weights(case)  # seen before the segments are chosen, which is why `questions` does not hold these masks
        predicted = case.look(WithoutTop(self.ablation, self), None)[:, 0]
        return (predicted == case.batch.labels.cpu()).double()
