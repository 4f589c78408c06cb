"""DiffROAR: do the most relevant pixels tell more of the class than the least relevant?"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from xai_bench.engine import Case, Curve
from xai_bench.metrics.retraining import Retraining
from xai_bench.metrics.roar import EXEMPT
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class DiffRoar(Retraining):
    """Accuracy of models retrained on the top k of the pixels alone, minus that on the bottom k, mean over k.

    PredPower(keep top k) - PredPower(keep bottom k): positive where the explainer's ranking puts what tells the class
    first, about 0 where it is no better than chance, negative where it puts it last. The predictive power, a supremum
    over models, is that of the `repeats` models trained.
    The paper's attribution is |gradient|, ranked over pixels and channels; ours ranks pixels, all colours together.
    Its fractions are those of the paper's figures.
    """

    card: ClassVar = MetricCard(
        "diffroar",
        source="Shah, Jain & Netrapalli 2021, arXiv:2102.12781, equation 2; the authors' code",
        summary="accuracy after retraining on the top k pixels minus on the bottom k, mean over k",
        needs=frozenset({"maps", "ranking", "labels", "explainer"}),
        better="higher",
        low=-1.0,
        high=1.0,
        scope="set",
        family="faithfulness",
        exempt=EXEMPT,
    )
    facts: ClassVar = {**Retraining.facts, "visible": "the top; the bottom"}

    fractions: tuple[float | int, ...] = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)

    def curve(self, case: Case) -> Curve:
        """Whether each image is classified correctly by its top, minus by its bottom, over the fraction kept."""
        numbers, total = self.counts(case)
        tops, bottoms = [(0, number) for number in numbers], [(total - number, total) for number in numbers]
        top, bottom = self.right(case, [*tops, *bottoms]).tensor_split(2, dim=1)
        return Curve(torch.tensor(self.fractions, dtype=torch.float64), top - bottom)
