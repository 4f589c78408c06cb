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
from xai_bench.types import ExplainerCard, Images, Maps, Targets


class Explainer(ABC):
    """(model, images, targets) -> map. A frozen dataclass whose fields are its parameters.

    One that draws random numbers takes a fourth argument named `noise`; so may any plain function.
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


AnyExplainer = Explainer | Callable[..., Tensor]


def explain(explainer: AnyExplainer, model: VisionModel, images: Images, targets: Targets, noise: Noise) -> Maps:
    """The explainer's maps, checked; the model is left as it was found."""
    extra: dict[str, Any] = {"noise": noise} if "noise" in inspect.signature(explainer).parameters else {}
    with model.ready(), torch.enable_grad():
        # copies, so that one that writes into what it is given changes nobody else's images
        maps: object = explainer(model, images.clone(), targets.clone(), **extra)
    expected = (len(images), *images.shape[2:])
    if not isinstance(maps, Tensor) or tuple(maps.shape) != expected:
        shape = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise InvalidValueError(f"explainer {label(explainer)!r} must return a tensor of shape {expected}, got {shape}")
    return maps.detach().to(torch.float32)
