"""RFxG: contrastive and group scores, from the probabilities of several classes as the most relevant pixels are hidden."""

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from xai_bench.engine import Case, Curve, Pixel, Ties, Trajectory, Unit, check_steps
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.class_groups import Group, Members, Ranked, check_group, fingerprint
from xai_bench.metrics.metric import CurveMetric
from xai_bench.metrics.removal_curve import area
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard

SOURCE = "RFxG, arXiv:2511.13081, and its code"
ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
Reading = Literal["contrastive", "as_coded"]
Probabilities = Float64[Tensor, "B S K"]
Clean = Float64[Tensor, "B 1 K"]


@dataclass(frozen=True)
class _Rfxg(CurveMetric):
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
        return area(self.curve(case))


@dataclass(frozen=True)
class Ccs(_Rfxg):
    """Area under p_a - p_b as the most relevant pixels are hidden: low where a map shows why it is a and not b.

    b is `against`: a class, or the clean image's second choice. Undefined for a map that is constant or not finite,
    where b is the target, and for a model of one class.

    Source: RFxG (arXiv:2511.13081), Contrastive Contrastivity Score, as its code computes it; which direction is good
    is inferred. The code's other removals are `Blur` with a sigma of 5 pixels and uniform noise.
    """

    card: ClassVar = MetricCard(
        "ccs",
        source=SOURCE,
        summary="area under p(a) - p(b) as the most relevant pixels are hidden",
        needs=frozenset({"maps", "ranking"}),
        better="lower",
        low=-1.0,
        high=1.0,
        family="faithfulness",
    )

    against: int | Literal["runner_up"] = "runner_up"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.against != "runner_up" and self.against < 0:
            raise InvalidValueError(f"against of ccs must be a class or 'runner_up', got {self.against}")

    def others(self, case: Case) -> Tensor:
        """b of each image, (B,)."""
        if self.against == "runner_up":
            return _ranked(case).runner_up()
        if self.against >= case.scene.clean.shape[1]:
            last = case.scene.clean.shape[1] - 1
            raise InvalidValueError(f"against of ccs is class {self.against}, outside the classes 0 to {last}")
        return torch.full_like(case.scene.targets, self.against)

    def classless(self, case: Case) -> tuple[str, ...]:
        if case.scene.clean.shape[1] < 2:
            return ("the model has one class",) * len(case.batch)
        same = (self.others(case) == case.scene.targets).tolist()
        return tuple("the other class is the target" if equal else "" for equal in same)

    def change(self, case: Case, hidden: Probabilities, clean: Clean) -> Float64[Tensor, "B S"]:  # noqa: ARG002
        return _of(hidden, case.scene.targets) - _of(hidden, self.others(case))


@dataclass(frozen=True)
class _Grouped(_Rfxg):
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
        return {**self.facts, "groups": fingerprint(self.group)}

    def members(self, case: Case) -> Members:
        """A of each image."""
        return _ranked(case).first(self.group)

    def classless(self, case: Case) -> tuple[str, ...]:
        return tuple("" if there else "no group holds the target" for there in self.members(case).any(1).tolist())


@dataclass(frozen=True)
class Pgs(_Grouped):
    """Area under the mean fall of the group's probabilities as the most relevant pixels are hidden.

    See `group` for A. Undefined for a map that is constant or not finite, and where no group holds the target.

    Source: RFxG (arXiv:2511.13081), Pointwise Group Score, as its code computes it.
    """

    card: ClassVar = MetricCard(
        "pgs",
        source=SOURCE,
        summary="area under the mean fall of a group's probabilities as the most relevant pixels are hidden",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=-1.0,
        high=1.0,
        family="faithfulness",
    )

    def change(self, case: Case, hidden: Probabilities, clean: Clean) -> Float64[Tensor, "B S"]:
        return _mean(clean - hidden, self.members(case))


def _turned(metric: _Grouped, reading: Reading) -> None:
    """The sum of two changes, as coded, is low where hiding hurts both: of this reading, low is better (inferred)."""
    if reading == "as_coded":
        object.__setattr__(metric, "card", dataclasses.replace(metric.card, better="lower"))


@dataclass(frozen=True)
class Cgc(_Grouped):
    """Half the difference between the change of the siblings of a in its group and that of a, as an area over alpha.

    `reading="contrastive"` (ours): (mean over A without a of p_k - p0_k) - (p_a - p0_a), halved; high is good: hiding
    the evidence for a hurts a and not its siblings. `reading="as_coded"`: the published code adds the two changes, with
    a in A, so that nothing is contrasted; low is taken for good (inferred).
    Undefined for a map that is constant or not finite, where the group does not hold the target, and, contrastive,
    where it holds nothing else.

    Source: RFxG (arXiv:2511.13081), Class Group Contrastivity.
    """

    card: ClassVar = MetricCard(
        "cgc",
        source=SOURCE + "; contrastive reading ours",
        summary="half the change of the group's other classes minus that of the target, as an area",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=-1.0,
        high=1.0,
        family="faithfulness",
    )

    reading: Reading = "contrastive"

    def __post_init__(self) -> None:
        super().__post_init__()
        _turned(self, self.reading)

    def classless(self, case: Case) -> tuple[str, ...]:
        members = self.members(case)
        held = members.gather(1, case.scene.targets[:, None])[:, 0].tolist()
        alone = (members.sum(1) < 2).tolist() if self.reading == "contrastive" else [False] * len(held)
        return tuple(
            "the group does not hold the target" if not inside else "the group holds only the target" if lone else ""
            for inside, lone in zip(held, alone, strict=True)
        )

    def change(self, case: Case, hidden: Probabilities, clean: Clean) -> Float64[Tensor, "B S"]:
        members, target = self.members(case), case.scene.targets
        own = _of(hidden - clean, target)
        if self.reading == "as_coded":
            return (_mean(hidden - clean, members) + own) / 2
        return (_mean(hidden - clean, members.scatter(1, target[:, None], value=False)) - own) / 2


@dataclass(frozen=True)
class Cgs(_Grouped):
    """Half the difference between the change of another group B and that of the group A, as an area over alpha.

    `reading="contrastive"` (ours): (mean over B of p_k - p0_k) - (mean over A), halved; high is good: hiding the
    evidence for A hurts A and not B. `reading="as_coded"`: the published code adds the two; low is taken for good
    (inferred). B is `against`, given like `group`, among the classes outside A: a number is so many of the highest, a
    file's group the one that holds the highest.
    Undefined for a map that is constant or not finite, where a group is empty, and where the two share a class.

    Source: RFxG (arXiv:2511.13081), Contrastive Group Score.
    """

    card: ClassVar = MetricCard(
        "cgs",
        source=SOURCE + "; contrastive reading ours",
        summary="half the change of another group's probabilities minus that of the group's, as an area",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=-1.0,
        high=1.0,
        family="faithfulness",
    )

    against: Group = 2
    reading: Reading = "contrastive"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_group(self.against, "against of cgs")
        _turned(self, self.reading)

    @property
    def fixed(self) -> Mapping[str, str]:
        return {**super().fixed, "groups against": fingerprint(self.against)}

    def others(self, case: Case) -> Members:
        """B of each image."""
        return _ranked(case).against(self.against, self.members(case))

    def classless(self, case: Case) -> tuple[str, ...]:
        members, others = self.members(case), self.others(case)
        empty, shared = (~others.any(1)).tolist(), (members & others).any(1).tolist()
        reasons = ("no class to set the group against" if none else "" for none in empty)
        shares = ("the two groups share a class" if both else "" for both in shared)
        return tuple(next(filter(None, row), "") for row in zip(super().classless(case), reasons, shares, strict=True))

    def change(self, case: Case, hidden: Probabilities, clean: Clean) -> Float64[Tensor, "B S"]:
        own, other = (_mean(hidden - clean, members) for members in (self.members(case), self.others(case)))
        return (other + own) / 2 if self.reading == "as_coded" else (other - own) / 2


def _ranked(case: Case) -> Ranked:
    return Ranked(case.scene.clean, case.scene.targets)


def _of(values: Probabilities, classes: Tensor) -> Float64[Tensor, "B S"]:
    """Values of one class of each image."""
    return values.gather(2, classes.cpu()[:, None, None].expand(-1, values.shape[1], 1))[:, :, 0]


def _mean(values: Probabilities, members: Members) -> Float64[Tensor, "B S"]:
    """Mean over a group; nan where it is empty."""
    inside = members.cpu().double()
    return torch.einsum("bsk,bk->bs", values, inside) / inside.sum(1, keepdim=True)
