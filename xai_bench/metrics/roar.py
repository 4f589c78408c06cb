"""ROAR and KAR: what a model can still learn once the most relevant pixels are gone, or when nothing else is left."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from xai_bench.engine import Case, Curve
from xai_bench.metrics.retraining import Retraining
from xai_bench.types import MetricCard

SOURCE = "Hooker, Erhan, Kindermans & Kim 2019, arXiv:1806.10758"
EXEMPT = {"perfect": "the model is trained anew, so what is relevant to the old one need not be to the new"}


@dataclass(frozen=True)
class Roar(Retraining):
    """Accuracy of models trained and tested on images without their most relevant pixels, mean over the fractions.

    Remove and retrain (section 3): at each fraction the pixels that the explainer ranks first become one colour in
    train and test images, and a model of the same architecture is trained from scratch. Low means that what the
    explainer points at cannot be made up for by what is left. The published protocol is `repeats=5` with ResNet-50
    on the whole of ImageNet, Food-101 or Birdsnap, and the per-channel mean of the train images as colour.
    Compare with the controls `random` and `edges`. It favours coarse maps (arXiv:2304.13836), and the shape of what is
    removed can give the class away: docs/protocols/retraining.md.
    """

    card: ClassVar = MetricCard(
        "roar",
        source=f"{SOURCE}, section 3",
        summary="accuracy after retraining without the most relevant pixels, mean over fractions",
        needs=frozenset({"maps", "ranking", "labels", "explainer"}),
        better="lower",
        low=0.0,
        high=1.0,
        scope="set",
        family="faithfulness",
        exempt=EXEMPT,
    )
    facts: ClassVar = {**Retraining.facts, "visible": "all but the top"}

    def curve(self, case: Case) -> Curve:
        """Whether each image is classified correctly, over the fraction removed."""
        numbers, total = self.counts(case)
        right = self.right(case, [(number, total) for number in numbers])
        return Curve(torch.tensor(self.fractions, dtype=torch.float64), right)


@dataclass(frozen=True)
class Kar(Retraining):
    """Accuracy of models trained and tested on nothing but the most relevant pixels, mean over the fractions.

    Keep and retrain (section 4): as `roar`, but at each fraction the pixels that the explainer ranks first are those
    that stay. High means that what the explainer points at suffices.
    """

    card: ClassVar = MetricCard(
        "kar",
        source=f"{SOURCE}, section 4",
        summary="accuracy after retraining on the most relevant pixels alone, mean over fractions",
        needs=frozenset({"maps", "ranking", "labels", "explainer"}),
        better="higher",
        low=0.0,
        high=1.0,
        scope="set",
        family="faithfulness",
        exempt=EXEMPT,
    )
    facts: ClassVar = {**Retraining.facts, "visible": "the top"}

    def curve(self, case: Case) -> Curve:
        """Whether each image is classified correctly, over the fraction kept."""
        numbers, _ = self.counts(case)
        right = self.right(case, [(0, number) for number in numbers])
        return Curve(torch.tensor(self.fractions, dtype=torch.float64), right)
