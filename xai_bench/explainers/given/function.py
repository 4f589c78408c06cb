"""A function of the user's where an explainer must stand."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from xai_bench.adapters import VisionModel
from xai_bench.behaviour import behaviour
from xai_bench.catalogue import imported, label
from xai_bench.errors import InvalidValueError
from xai_bench.explainers.explainer import Explainer, called
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Maps, Regions, Targets


@dataclass(frozen=True)
class Function(Explainer):
    """A function (model, images, targets[, noise][, regions]) -> maps, so that it can stand inside a wrapper."""

    function: Callable[..., Any]

    @property
    def card(self) -> ExplainerCard:  # type: ignore[override]
        """The function's name and module stand for it."""
        name = getattr(self.function, "__name__", type(self.function).__name__)
        where = f"{getattr(self.function, '__module__', '?')}:{name}"
        return ExplainerCard(name, source=where, summary="a function", passes="?")

    def __str__(self) -> str:
        """What stands in the spec of what it is inside: the code is part of it."""
        return f"python:{self.card.source} {behaviour(self.function)}"

    def __call__(  # type: ignore[override]
        self, model: VisionModel, images: Images, targets: Targets, noise: Noise, regions: Regions | None
    ) -> Maps:
        maps: Maps = called(self.function, model, images, targets, noise, regions)
        return maps


def check_call(function: Any, count: int, rule: str) -> None:
    """Refuse a callable that cannot be called with so many arguments, and noise and regions where it names them."""
    called = function.forward if isinstance(function, nn.Module) else function  # a module itself takes anything
    try:
        parameters = inspect.signature(called)
        parameters.bind(*range(count), **{name: None for name in ("noise", "regions") if name in parameters.parameters})
    except (TypeError, ValueError) as error:
        raise InvalidValueError(f"{rule}, which {label(function)!r} does not: {error}") from error


def check_explainer(function: Callable[..., Any]) -> None:
    """Refuse a callable that cannot be called as an explainer is."""
    check_call(function, 3, "an explainer takes (model, images, targets)")


def given(path: str) -> Explainer:
    """The explainer behind `package.module:name`: a class, made with its defaults, an object or a function."""
    found = imported(path)
    if isinstance(found, type) and issubclass(found, Explainer):
        return found()
    if isinstance(found, Explainer):
        return found
    if isinstance(found, type) or not callable(found):
        raise InvalidValueError(f"python:{path} must be an explainer or a function, it is {found!r}")
    check_explainer(found)
    return Function(found)
