"""Explainers that read what a model itself computed."""

from typing import TypeVar

from torch import nn

from xai_bench.adapters import VisionModel
from xai_bench.errors import UnsupportedError

Module = TypeVar("Module", bound=nn.Module)


def own(model: VisionModel, kind: type[Module], explainer: str, scheme: str) -> Module:
    """The model's module, where it is of that kind; refused where it is not."""
    if isinstance(model.module, kind):
        return model.module
    raise UnsupportedError(
        f"explainer {explainer!r} reads what {kind.__name__} computes, so it needs a {scheme!r} model, and "
        f"{model.label!r} is a {type(model.module).__name__}"
    )


def refusal(model: VisionModel, kind: type[nn.Module], explainer: str, scheme: str) -> str:
    """The same as a sentence, "" where it is of that kind."""
    try:
        own(model, kind, explainer, scheme)
    except UnsupportedError as error:
        return str(error)
    return ""
