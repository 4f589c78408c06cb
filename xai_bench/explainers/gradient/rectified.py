"""Guided backpropagation and deconvolution: positive gradients alone pass an activation."""

from typing import Any

from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.errors import UnsupportedError
from xai_bench.explainers.gradient.graph import no_activation
from xai_bench.explainers.gradient.rules import (
    ACTIVATIONS,
    Function,
    Rules,
    derivative,
    passing,
    probe,
    pulled,
    rooted,
    ruled,
)
from xai_bench.types import Images, Targets


def rectified(name: str, model: VisionModel, images: Images, targets: Targets, *, sloped: bool) -> Images:
    """The gradient of each image's target with negative parts stopped at each activation; `sloped`: times its slope."""
    inputs = rooted(images)
    return pulled(ruled(name, model, inputs, _rules(sloped=sloped), no_activation), targets, inputs)


def unfit(name: str, model: VisionModel) -> str:
    """Why this model has no such gradient, found out on one image of noise."""
    try:
        ruled(name, model, probe(model), _rules(sloped=True), no_activation)
    except UnsupportedError as error:
        return str(error)
    return ""


def _rules(*, sloped: bool) -> Rules:
    def activation(function: Function, x: Tensor, /, *rest: Any, **named: Any) -> Tensor:
        value, slope = derivative(lambda point: function(point, *rest, **named), x)
        return passing(x, value, slope if sloped else None, positive=True)

    return Rules(dict.fromkeys(ACTIVATIONS, activation))
