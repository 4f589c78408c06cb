"""What RFxG's scores have in common: probabilities of several classes as the most relevant pixels are hidden."""

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from xai_bench.class_groups import Group, Members, Ranked, check_group, fingerprint
from xai_bench.engine import Case, Curve, Pixel, Ties, Trajectory, Unit, check_steps
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.metric import CurveMetric
from xai_bench.metrics.reasons import combined, unless
from xai_bench.removal import Fill, Removal

SOURCE = "RFxG, arXiv:2511.13081, and its code"
ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
Reading = Literal["contrastive", "as_coded"]
Probabilities = Float64[Tensor, "B S K"]
Clean = Float64[Tensor, "B 1 K"]


@dataclass(frozen=True)
class Rfxg(CurveMetric):
    """Area over alpha, the fraction hidden, of what happens to the softmax of some classes; not divided by its width.

    a is the target; `steps` are the alphas. A set of alphas from .1 to .9 spans .8, so that no score is beyond .8.
    """

    facts: ClassVar[Mapping[str, str]] = {
        "order": "morf",
        "output": "probability",
        "area": "trapezoid, not divided by its width",
        "resampling": "none",
    }

    removal: Removal = field(default_factory=lambda: Fill("black"))
    steps: tuple[float, ...] = ALPHAS
    unit: Unit = field(default_factory=Pixel)
    ties: Ties = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps, f"steps of {self.card.name}")
        if len(self.steps) < 2:
            raise InvalidValueError(f"steps of {self.card.name} must be at least 2 fractions, got {self.steps}")

    @property
    def bounds(self) -> tuple[float, float]:
        width = self.steps[-1] - self.steps[0]
        return -width, width

    @property
    def questions(self) -> tuple[Trajectory, ...]:
        return (Trajectory(self.removal, "morf", self.steps, self.ties, self.unit, full=True),)

    def undefined(self, case: Case) -> tuple[str, ...]:
        own = self.classless(case)
        return tuple(known or reason for known, reason in zip(super().undefined(case), own, strict=True))

    @abstractmethod
    def classless(self, case: Case) -> tuple[str, ...]:
        """Why an image lacks the classes that it takes, "" where it has them."""

    @abstractmethod
    def change(self, case: Case, hidden: Probabilities, clean: Clean) -> Float64[Tensor, "B S"]:
        """What is integrated, from the probabilities with a part hidden and those of the clean image."""

    def curve(self, case: Case) -> Curve:
        hidden = case.logits(self.questions[0]).double().softmax(2)
        clean = case.scene.clean.cpu().double().softmax(1)[:, None]
        return Curve(torch.tensor(self.steps, dtype=torch.float64), self.change(case, hidden, clean))

    def __call__(self, case: Case) -> Tensor:
        curve = self.curve(case)
        return torch.trapezoid(curve.values, curve.fractions, dim=1)  # as coded: not divided by the width of .8


@dataclass(frozen=True)
class Grouped(Rfxg):
    """A, the group of classes, is `group`.

    A number n is the target and the n - 1 other classes that the clean image scores highest (ours, where no hierarchy
    of classes is at hand), a list is these classes for all images, and a name is a JSON file {name: [classes]}, of
    which each image takes the group that holds its target (RFxG: WordNet hypernyms).
    """

    group: Group = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_group(self.group, f"group of {self.card.name}")

    @property
    def fixed(self) -> Mapping[str, str]:
        return {**super().fixed, "groups": fingerprint(self.group)}

    def members(self, case: Case) -> Members:
        """A of each image."""
        return ranked(case).first(self.group)

    def classless(self, case: Case) -> tuple[str, ...]:
        members = self.members(case)
        whole = unless(~members.all(1), "group holds every class of the model")  # whose probabilities add up to 1
        return combined(unless(members.any(1), "no group holds the target"), whole)


def turned(metric: Grouped, reading: Reading) -> None:
    """The sum of two changes, as coded, is low where hiding hurts both: of this reading, low is better (inferred)."""
    if reading == "as_coded":
        object.__setattr__(metric, "card", dataclasses.replace(metric.card, better="lower"))


def ranked(case: Case) -> Ranked:
    """The classes of each image as its clean logits rank them."""
    return Ranked(case.scene.clean, case.scene.targets)


def value_of(values: Probabilities, classes: Tensor) -> Float64[Tensor, "B S"]:
    """Values of one class of each image."""
    return values.gather(2, classes.cpu()[:, None, None].expand(-1, values.shape[1], 1))[:, :, 0]


def mean_over(values: Probabilities, members: Members) -> Float64[Tensor, "B S"]:
    """Mean over a group; nan where it is empty."""
    inside = members.cpu().double()
    return torch.einsum("bsk,bk->bs", values, inside) / inside.sum(1, keepdim=True)
