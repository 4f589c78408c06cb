"""DeepLIFT with the rescale rule: an activation's slope is that of the line from the baseline to the image."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from xai_bench.adapters import VisionModel
from xai_bench.errors import UnsupportedError
from xai_bench.explainers.explainer import Explainer
from xai_bench.explainers.gradient.baselines import Baseline, baseline
from xai_bench.explainers.gradient.graph import linear
from xai_bench.explainers.gradient.rules import (
    ACTIVATIONS,
    Function,
    Handler,
    Rules,
    derivative,
    passing,
    probe,
    pulled,
    rooted,
    ruled,
)
from xai_bench.types import ExplainerCard, Images, Maps, Targets

RESCALED = ACTIVATIONS | {"sigmoid", "hardsigmoid", "tanh"}
NEAR = 1e-4  # of the larger number: below this a difference quotient is rounding, and the mean slope is exact
TOLERANCE = 0.01


@dataclass(frozen=True)
class DeepLift(Explainer):
    """(image - baseline) times the multiplier of the target's logit, summed over colours; signed.

    The multiplier is a gradient in which each activation counts with (a(x) - a(x0)) / (x - x0), x0 its input for the
    baseline, and a max pooling gives its change to the winner of the larger side. The map sums to the logit's change
    from the baseline. That, and so the method, is there only where all else is linear: a model with attention, layer
    norms or gates is refused by name, and so is a map that does not sum up.
    """

    card: ClassVar = ExplainerCard(
        "deeplift",
        source="Shrikumar, Greenside & Kundaje 2017, arXiv:1704.02685, section 3.5.1 (rescale rule)",
        summary="image minus baseline times gradients with the activations' mean slopes between them",
        family="gradient",
        passes="2 F + 1 B",
    )

    baseline: Baseline = "black"

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:
        inputs, baselines = rooted(images), rooted(baseline(self.baseline, model, images))
        references: list[Tensor] = []
        start = ruled("deeplift", model, baselines, _recording(references), linear).detach()
        logits = ruled("deeplift", model, inputs, _rescaling(iter(references)), linear)
        maps = ((images - baselines.detach()) * pulled(logits, targets, inputs)).sum(1)
        _check(maps, (logits.detach() - start).gather(1, targets[:, None])[:, 0], model)
        return maps

    def unfit(self, model: VisionModel) -> str:
        try:
            ruled("deeplift", model, probe(model), _recording([]), linear)
        except UnsupportedError as error:
            return str(error)
        return ""


def _check(maps: Maps, change: Tensor, model: VisionModel) -> None:
    """Completeness: what a model does that the graph does not show breaks it."""
    missing = (maps.sum((1, 2)) - change).abs()
    if bool((missing > TOLERANCE * maps.abs().sum((1, 2)).maximum(change.abs())).any()):
        worst = int(missing.argmax())
        raise UnsupportedError(
            f"'deeplift' of model {model.label!r} sums to {maps[worst].sum().item():.4g} where the logit changes by "
            f"{change[worst].item():.4g}; the model has a part that is neither linear nor an activation"
        )


def _recording(references: list[Tensor]) -> Rules:
    """Keeps what each activation and pooling is given, in the order of the pass."""

    def record(function: Function, x: Tensor, /, *rest: Any, **named: Any) -> Tensor:
        references.append(x.detach().clone())
        return passing(x, function(x.detach(), *rest, **named))

    return Rules(dict.fromkeys((*RESCALED, "max_pool2d"), record))


def _rescaling(references: Iterator[Tensor]) -> Rules:
    def rescale(function: Function, x: Tensor, /, *rest: Any, **named: Any) -> Tensor:
        value, slope = derivative(lambda point: function(point, *rest, **named), x)
        reference = next(references)
        start, slope_there = derivative(lambda point: function(point, *rest, **named), reference)
        change = x.detach() - reference
        near = change.abs() <= NEAR * x.detach().abs().maximum(reference.abs())
        return passing(x, value, torch.where(near, (slope + slope_there) / 2, (value - start) / change))

    def pool(function: Function, x: Tensor, /, *rest: Any, **named: Any) -> Tensor:  # noqa: ARG001
        made: Tensor = Pooled.apply(x, next(references), rest, named)
        return made

    handlers: dict[str, Handler] = dict.fromkeys(RESCALED, rescale)
    return Rules({**handlers, "max_pool2d": pool})


class Pooled(torch.autograd.Function):
    """Max pooling, whose change from the reference is the winner's: of the image where it rose, else of the reference.

    The winner changes at least as much and in the same direction, so its multiplier is at most 1. Where it fell and the
    reference had several winners, as on one colour, the image's is taken and not what rounding makes of the tie.
    Windows may overlap: what an input wins is added up.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, reference: Tensor, rest: tuple[Any, ...], named: dict[str, Any]) -> Tensor:
        settings = {**named, "return_indices": True}
        value, winners = F.max_pool2d(x, *rest, **settings)
        start, winners_there = F.max_pool2d(reference, *rest, **settings)
        change, pooled_change = x - reference, value - start
        own = change.flatten(2).gather(2, winners.flatten(2)).view_as(value)
        winners_there = winners_there.where(own > 0.999 * pooled_change, winners)
        ctx.save_for_backward(change, pooled_change, winners, winners_there)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        change, pooled_change, winners, winners_there = ctx.saved_tensors
        rose = _unpool(gradients[0] * pooled_change.clamp(min=0), winners, change)
        fell = _unpool(gradients[0] * pooled_change.clamp(max=0), winners_there, change)
        plain = _unpool(gradients[0], winners, change)
        return torch.where(change == 0, plain, (rose + fell) / change), None, None, None


def _unpool(values: Tensor, places: Tensor, like: Tensor) -> Tensor:
    """Each window's value at its place, added up."""
    flat = torch.zeros_like(like).flatten(2)
    added: Tensor = flat.scatter_add(2, places.flatten(2), values.flatten(2)).view(like.shape)
    return added
