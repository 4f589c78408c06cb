"""What every explainer is, and how one is called."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from xai_bench.adapters import VisionModel, uncompiled
from xai_bench.catalogue import check_values, label
from xai_bench.errors import InvalidValueError, XaiBenchError
from xai_bench.explainers.look import Seen, Sight, look
from xai_bench.seeding import Noise
from xai_bench.types import Batch, ExplainerCard, Images, Maps, Regions, Targets


class Explainer(ABC):
    """(model, images, targets) -> map. A frozen dataclass whose fields are its parameters.

    One that draws random numbers takes a further argument named `noise`, one that is told where the object is
    `regions`, None where the data have none; so may any plain function.
    """

    card: ClassVar[ExplainerCard]

    def __post_init__(self) -> None:
        check_values(self)

    @abstractmethod
    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:
        """Relevance at image resolution, higher = more evidence for the target, signed, not normalised."""

    @property
    def kind(self) -> Literal["post-hoc", "intrinsic", "control", "ceiling"]:
        """The card's, or that of the explainer inside."""
        return self.card.kind

    @property
    def anew(self) -> bool:
        """Whether it makes maps of any image, not only of those that it has maps of already."""
        return True

    def unfit(self, model: VisionModel) -> str:  # noqa: ARG002
        """Why this explainer cannot explain this model, "" where it can."""
        return ""

    def lacks(self, batch: Batch) -> tuple[str, ...]:
        """Why it has no map of each image, "" where it has one."""
        return ("",) * len(batch)

    def sights(self, model: VisionModel) -> frozenset[Sight]:  # noqa: ARG002
        """What it reads of the pass that explainers share; empty where it makes passes of its own."""
        return frozenset()

    def read(self, seen: Seen) -> Maps:
        """Its maps from that pass."""
        raise NotImplementedError(f"{self.card.name} shares no pass")


class OnePass(Explainer):
    """An explainer that is all in one forward pass and at most one backward pass, which it shares with others."""

    @abstractmethod
    def sights(self, model: VisionModel) -> frozenset[Sight]: ...

    @abstractmethod
    def read(self, seen: Seen) -> Maps: ...

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:
        return self.read(look(model, images, targets, self.sights(model)))

    def unfit(self, model: VisionModel) -> str:
        try:
            self.sights(model)
        except XaiBenchError as error:
            return str(error)
        return ""


AnyExplainer = Explainer | Callable[..., Tensor]


def called(
    explainer: AnyExplainer,
    model: VisionModel,
    images: Images,
    targets: Targets,
    noise: Noise,
    regions: Regions | None,
) -> Tensor:
    """What the explainer gives, told of noise and regions where it asks for them; refused where it is no maps."""
    offered = {"noise": noise, "regions": regions}
    extra: dict[str, Any] = {name: offered[name] for name in offered.keys() & inspect.signature(explainer).parameters}
    return _shaped(explainer, explainer(model, images, targets, **extra), images)


def explain(
    explainer: AnyExplainer,
    model: VisionModel,
    images: Images,
    targets: Targets,
    noise: Noise,
    regions: Regions | None = None,
) -> Maps:
    """The explainer's maps, checked; the model is left as it was found."""
    with model.ready(), uncompiled(), torch.enable_grad():
        # copies, so that one that writes into what it is given changes nobody else's images
        maps = called(explainer, model, images.clone(), targets.clone(), noise, regions)
    return maps.detach().to(torch.float32)


def seen_together(explainers: Iterable[Explainer], model: VisionModel, images: Images, targets: Targets) -> Seen:
    """What several explainers that have sights read: one forward pass and at most one backward pass for all of them."""
    with model.ready(), uncompiled(), torch.enable_grad():
        sights = frozenset[Sight]().union(*(explainer.sights(model) for explainer in explainers))
        return look(model, images.clone(), targets.clone(), sights)


def read_from(explainer: Explainer, seen: Seen) -> Maps:
    """An explainer's maps from a pass that holds its sights, checked."""
    with seen.model.ready(), torch.no_grad():
        return _checked(explainer, explainer.read(seen), seen.images)


def lacks(explainer: AnyExplainer, batch: Batch) -> tuple[str, ...]:
    """Why any explainer has no map of each image; of a plain function nothing is known."""
    return explainer.lacks(batch) if isinstance(explainer, Explainer) else ("",) * len(batch)


def _shaped(explainer: AnyExplainer, maps: object, images: Images) -> Tensor:
    expected = (len(images), *images.shape[2:])
    if not isinstance(maps, Tensor) or tuple(maps.shape) != expected:
        shape = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise InvalidValueError(f"explainer {label(explainer)!r} must return a tensor of shape {expected}, got {shape}")
    if maps.is_complex():
        raise InvalidValueError(f"explainer {label(explainer)!r} must return real numbers, got {maps.dtype}")
    return maps


def _checked(explainer: AnyExplainer, maps: object, images: Images) -> Maps:
    return _shaped(explainer, maps, images).detach().to(torch.float32)
