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

    An image of which a group has no class has no map, and is nan. The classes of a group are

    - a number: so many that the clean image scores highest, the target first
    - a list of classes
    - a JSON file of {name: [classes]}: the group that holds the target
    """

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
            weights = self.weights(Ranked(model(images), targets))
        empty = weights.isnan().any(1)
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

    def weights(self, ranked: Ranked) -> Float32[Tensor, "B K"]:
        first = ranked.first(self.group)
        return _mean(first) - _mean(ranked.against(self.against, first))


def _mean(members: Members) -> Float32[Tensor, "B K"]:
    """One over their number for each of a group's classes; nan where there is none."""
    return members / members.sum(1, keepdim=True)
