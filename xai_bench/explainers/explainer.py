"""What every explainer is, and how one is called."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.catalogue import check_values, label
from xai_bench.errors import InvalidValueError
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

    def unfit(self, model: VisionModel) -> str:  # noqa: ARG002
        """Why this explainer cannot explain this model, "" where it can."""
        return ""

    def lacks(self, batch: Batch) -> tuple[str, ...]:
        """Why it has no map of each image, "" where it has one."""
        return ("",) * len(batch)


AnyExplainer = Explainer | Callable[..., Tensor]


def explain(
    explainer: AnyExplainer,
    model: VisionModel,
    images: Images,
    targets: Targets,
    noise: Noise,
    regions: Regions | None = None,
) -> Maps:
    """The explainer's maps, checked; the model is left as it was found."""
    offered = {"noise": noise, "regions": regions}
    extra: dict[str, Any] = {name: offered[name] for name in offered.keys() & inspect.signature(explainer).parameters}
    with model.ready(), torch.enable_grad():
        # copies, so that one that writes into what it is given changes nobody else's images
        maps: object = explainer(model, images.clone(), targets.clone(), **extra)
    expected = (len(images), *images.shape[2:])
    if not isinstance(maps, Tensor) or tuple(maps.shape) != expected:
        shape = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise InvalidValueError(f"explainer {label(explainer)!r} must return a tensor of shape {expected}, got {shape}")
    return maps.detach().to(torch.float32)


def lacks(explainer: AnyExplainer, batch: Batch) -> tuple[str, ...]:
    """Why any explainer has no map of each image; of a plain function nothing is known."""
    return explainer.lacks(batch) if isinstance(explainer, Explainer) else ("",) * len(batch)
