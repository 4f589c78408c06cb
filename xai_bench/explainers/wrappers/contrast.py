"""Why these classes, and why rather than those."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float32
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.class_groups import Group, Members, Ranked, check_group
from xai_bench.errors import InvalidValueError
from xai_bench.explainers.asked import asked
from xai_bench.explainers.explainer import called
from xai_bench.explainers.wrappers.wrapper import Wrapper
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Maps, Regions, Targets

SOURCE = "RFxG, arXiv:2511.13081"


@dataclass(frozen=True)
class Asking(Wrapper):
    """Another explainer, asked of several classes at once: of a weighted sum of logits in the place of one.

    An image of which a group has no class, or whose two groups are the same, has no map, and is nan; what can be asked
    of no image is refused. The classes of a group are

    - a number: so many that the clean image scores highest, the target first
    - a list of classes
    - a JSON file of {name: [classes]}: the group that holds the target
    """

    @abstractmethod
    def check_classes(self, classes: int) -> None:
        """Refuse what a model of so many classes cannot be asked of any image."""

    @abstractmethod
    def weights(self, ranked: Ranked) -> Float32[Tensor, "B K"]:
        """What each logit counts; nan where a group has no class."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_question(self, "put one question at a time")

    def __call__(  # type: ignore[override]
        self, model: VisionModel, images: Images, targets: Targets, noise: Noise, regions: Regions | None
    ) -> Maps:
        with torch.no_grad():
            logits = model(images)
        self.check_classes(logits.shape[1])
        weights = self.weights(Ranked(logits, targets))
        empty = (weights.isnan() | (weights == 0).all(1, keepdim=True)).any(1)
        view, questions = asked(model, weights.nan_to_num(0.0))
        maps: Maps = called(self.explainer, view, images, questions, noise, regions).detach()
        return maps.masked_fill(empty[:, None, None], torch.nan)


def refuse_question(wrapper: Wrapper, why: str) -> None:
    """Refuse a question somewhere inside a wrapper."""
    inside: object = wrapper.explainer
    while isinstance(inside, Wrapper) and not isinstance(inside, Asking):
        inside = inside.explainer
    if isinstance(inside, Asking):
        raise InvalidValueError(f"{wrapper.card.name} cannot hold {inside.card.name}: {why}")


@dataclass(frozen=True)
class ClassGroup(Asking):
    """Another explainer's map of a group of classes ("why a dog?"): of the mean of their logits.

    An explainer that reads probabilities explains the mean of theirs.
    """

    card: ClassVar = ExplainerCard(
        "class_group",
        source=SOURCE,
        summary="another map, of the mean logit of a group of classes",
        family="wrapper",
        passes="1 F + inner",
    )

    group: Group = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_group(self.group, "group of class_group")

    def check_classes(self, classes: int) -> None:
        if _least(self.group) > classes:
            raise InvalidValueError(
                f"class_group of group {self.group!r} needs {_least(self.group)} classes, the model has {classes}"
            )

    def weights(self, ranked: Ranked) -> Float32[Tensor, "B K"]:
        return _mean(ranked.first(self.group))


@dataclass(frozen=True)
class Contrast(Asking):
    """Another explainer's map of a difference ("a husky, not a wolf?"): mean logit of `group` less that of `against`.

    By default the target's logit less that of the highest other class. A number of classes `against` are the highest
    outside the group; from a file, the group that holds the highest class outside. An explainer that reads
    probabilities explains their difference.
    """

    card: ClassVar = ExplainerCard(
        "contrast",
        source=SOURCE,
        summary="another map, of one class's logit less another's",
        family="wrapper",
        passes="1 F + inner",
    )

    group: Group = 1
    against: Group = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_group(self.group, "group of contrast")
        check_group(self.against, "against of contrast")
        listed = isinstance(self.group, tuple) and isinstance(self.against, tuple)
        if listed and set(self.group) == set(self.against):  # type: ignore[arg-type]
            raise InvalidValueError(f"group and against of contrast are the same classes, {self.group!r}")

    def check_classes(self, classes: int) -> None:
        # classes that are listed may be in both groups; others come from outside the first
        others = 0 if isinstance(self.against, tuple) else _least(self.against)
        if _least(self.group) + others > classes:
            raise InvalidValueError(
                f"contrast of group {self.group!r} against {self.against!r} needs {_least(self.group) + others} "
                f"classes, the model has {classes}"
            )

    def weights(self, ranked: Ranked) -> Float32[Tensor, "B K"]:
        first = ranked.first(self.group)
        return _mean(first) - _mean(ranked.against(self.against, first))


def _least(group: Group) -> int:
    """How many classes a group holds; from a file at least 1."""
    return group if isinstance(group, int) else len(group) if isinstance(group, tuple) else 1


def _mean(members: Members) -> Float32[Tensor, "B K"]:
    """One over their number for each of a group's classes; nan where there is none."""
    return members / members.sum(1, keepdim=True)
