"""How a removal disturbs the model itself: three readings against the fraction removed (layer masking, section 4)."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from xai_bench.engine import Case, Curve, Order, Patch, Trajectory, Unit, check_steps
from xai_bench.metrics.metric import CurveMetric
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard

SOURCE = "Balasubramanian & Feizi 2023, arXiv:2211.14646, section 4"


@dataclass(frozen=True)
class Disturbance(CurveMetric):
    """Units, grid cells unless told otherwise, are removed in random order, or in the order of the map."""

    facts: ClassVar = {
        "ties": "random",
        "fractions": "equal",
        "ends": "both",
        "area": "mean",
        "resampling": "unit mean",
    }

    removal: Removal = field(default_factory=Fill)
    order: Order = "random"
    unit: Unit = field(default_factory=Patch)
    steps: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps, f"steps of {self.card.name}")

    @property
    def needs(self) -> frozenset[str]:
        return self.card.needs if self.order == "random" else self.card.needs | {"maps", "ranking"}

    @property
    def questions(self) -> tuple[Trajectory, ...]:
        return (Trajectory(self.removal, self.order, self.steps, unit=self.unit),)

    def predicted(self, case: Case) -> Curve:
        """The predicted class at each fraction, (B, S)."""
        return case.curve(self.questions[0], None)

    @abstractmethod
    def curve(self, case: Case) -> Curve: ...

    def __call__(self, case: Case) -> Tensor:
        return self.curve(case).values.mean(1)


@dataclass(frozen=True)
class Accuracy(Disturbance):
    """Share of the fractions removed (0, 1/steps ... 1) at which the image is still classified correctly."""

    card: ClassVar = MetricCard(
        "accuracy",
        source=SOURCE,
        summary="mean accuracy over the fractions removed",
        needs=frozenset({"labels"}),
        better="higher",
        low=0.0,
        high=1.0,
        family="removal",
    )

    def curve(self, case: Case) -> Curve:
        labels = case.batch.labels
        assert labels is not None
        predicted = self.predicted(case)
        return predicted._replace(values=(predicted.values == labels.cpu()[:, None]).double())


@dataclass(frozen=True)
class UnchangedPredictions(Disturbance):
    """Share of the fractions removed (0, 1/steps ... 1) at which the prediction is that of the clean image."""

    card: ClassVar = MetricCard(
        "unchanged_predictions",
        source=SOURCE,
        summary="mean share of predictions equal to the clean one over the fractions removed",
        better="higher",
        low=0.0,
        high=1.0,
        family="removal",
    )

    def curve(self, case: Case) -> Curve:
        clean = case.scene.clean.argmax(1).double().cpu()
        predicted = self.predicted(case)
        return predicted._replace(values=(predicted.values == clean[:, None]).double())


@dataclass(frozen=True)
class ClassEntropy(Disturbance):
    """Entropy in nats of the classes predicted over the set, averaged over the fractions removed.

    High means that the removal does not push the model towards a few classes. A number of the set, not of an image:
    the predicted classes are stored per image and reduced by `reductions.class_entropy`.
    """

    card: ClassVar = MetricCard(
        "class_entropy",
        source=SOURCE,
        summary="entropy of the predicted classes over the set, mean over the fractions removed",
        better="higher",
        low=0.0,
        family="removal",
        scope="set",
        reduction="class_entropy",
    )

    def curve(self, case: Case) -> Curve:
        return self.predicted(case)
