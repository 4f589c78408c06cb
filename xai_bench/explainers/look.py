"""The one forward and backward pass that several explainers read."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, TypeVar

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from xai_bench.adapters import TargetLayer, VisionModel
from xai_bench.engine.memory import is_out_of_memory
from xai_bench.errors import UnsupportedError
from xai_bench.explainers.recorder import recorded
from xai_bench.types import Images, Logits, Targets

T = TypeVar("T")
Grid = Float[Tensor, "B C h w"]
Attention = Float[Tensor, "B _ _ _"]  # (B, heads, N, N) of a block, (B, heads, L, N) where attention pools


class Sight(NamedTuple):
    """What an explainer reads of the pass: of the image, of a layer ("": the target layer), or of all attention."""

    kind: Literal["image", "layer", "attention"]
    layer: str = ""
    gradient: bool = True  # False: the forward pass is enough


IMAGE = Sight("image")


@dataclass(frozen=True, eq=False)
class Seen:
    """What one forward pass showed and, where a sight wanted a gradient, one backward pass of the targets' logits.

    Gradients are those of each image's own logit, with respect to the image in [0, 1], a layer's output, or attention.
    All is in float32, whatever the module's precision.
    """

    model: VisionModel
    images: Images
    targets: Targets
    logits: Logits
    image_gradient: Float32[Tensor, "B 3 H W"] | None
    outputs: Mapping[str, Tensor]  # layer -> what it gave, in its own layout
    layer_gradients: Mapping[str, Tensor]
    attention: tuple[Attention, ...]  # of each block, the first block first
    attention_gradients: tuple[Attention, ...]

    def activations(self, layer: str = "") -> Grid:
        """A layer's output as a grid, whatever its layout."""
        place = self.model.layer_at(layer)
        return place.grid(self.outputs[place.name], self._size)

    def gradients(self, layer: str = "") -> Grid:
        """The gradient with respect to a layer's output, as a grid."""
        place = self.model.layer_at(layer)
        return place.grid(self.layer_gradients[place.name], self._size)

    @property
    def _size(self) -> tuple[int, int]:
        return (self.images.shape[2], self.images.shape[3])


def look(model: VisionModel, images: Images, targets: Targets, sights: Collection[Sight]) -> Seen:
    """One forward pass and, where any sight wants a gradient, one backward pass, as far down as somebody looks.

    Raises UnsupportedError where a layer runs more than once in a pass, or where no gradient comes back.
    """
    layers = {model.layer_at(sight.layer) for sight in sights if sight.kind == "layer"}
    graded = {model.layer_at(sight.layer).name for sight in sights if sight.kind == "layer" and sight.gradient}
    backward = any(sight.gradient for sight in sights)
    inputs = images.detach().clone().requires_grad_(any(sight.kind == "image" for sight in sights))
    attends = any(sight.kind == "attention" for sight in sights)
    unseen: list[Tensor] = []
    recording = recorded(model) if attends else nullcontext(unseen)
    with torch.set_grad_enabled(backward), _watched(model, layers, graded) as outputs, recording as attention:
        logits = model(inputs)
    unrun = sorted({place.name for place in layers} - outputs.keys())
    if unrun:
        raise UnsupportedError(
            f"layer {unrun[0]!r} of model {model.label!r} gives nothing that can be read as it runs: the model calls "
            "its parts behind the back of hooks (gradient checkpointing, a compiled function); switch that off"
        )
    wanted: list[Tensor] = [inputs] if inputs.requires_grad else []
    wanted += [outputs[name] for name in sorted(graded)]
    wanted += attention if any(sight.kind == "attention" and sight.gradient for sight in sights) else []
    found = iter(_backward(model, logits, targets, wanted))
    image_gradient = next(found) if inputs.requires_grad else None
    layer_gradients = {name: next(found).float() for name in sorted(graded)}
    return Seen(
        model=model,
        images=images,
        targets=targets,
        logits=logits.detach(),
        image_gradient=image_gradient,
        outputs={name: output.detach().float() for name, output in outputs.items()},
        layer_gradients=layer_gradients,
        attention=tuple(matrix.detach().float() for matrix in attention),
        attention_gradients=tuple(gradient.float() for gradient in found),
    )


def rooted(tensor: Tensor) -> Tensor:
    """The tensor where gradients reach it; else the same numbers as the place where the graph begins."""
    return tensor if tensor.requires_grad else tensor.detach().requires_grad_()


def _backward(model: VisionModel, logits: Logits, targets: Targets, wanted: list[Tensor]) -> tuple[Tensor, ...]:
    if not wanted:
        return ()
    found: tuple[Tensor | None, ...] = (None,)
    if logits.requires_grad:
        score = logits.gather(1, targets[:, None]).sum()  # samples do not meet, so the sum keeps their gradients apart
        found = _differentiated(model, score, wanted)
    if any(gradient is None for gradient in found):
        raise UnsupportedError(
            f"no gradient of model {model.label!r} reaches what the explainer reads: a part of it is not "
            "differentiable, or the logits do not depend on the layer"
        )
    return tuple(gradient for gradient in found if gradient is not None)


def _differentiated(model: VisionModel, score: Tensor, wanted: list[Tensor]) -> tuple[Tensor | None, ...]:
    try:
        return torch.autograd.grad(score, wanted, allow_unused=True)
    except RuntimeError as error:
        if is_out_of_memory(error):  # the caller halves the batch
            raise
        raise UnsupportedError(f"model {model.label!r} cannot be differentiated as it is written: {error}") from error


@contextmanager
def _watched(
    model: VisionModel, layers: Collection[TargetLayer], graded: Collection[str]
) -> Iterator[dict[str, Tensor]]:
    """The outputs of these layers by name, once the model has run."""
    outputs: dict[str, Tensor] = {}

    def record(place: TargetLayer, _module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        name = place.name
        if not place.layout.fits(output):
            return output  # a norm may see the class token by itself before it sees the patches
        if name in outputs:
            raise UnsupportedError(
                f"layer {name!r} of model {model.label!r} runs more than once in a forward pass, so it has no one map; "
                "name another by layer="
            )
        outputs[name] = rooted(output) if name in graded and torch.is_grad_enabled() else output
        return outputs[name].clone()  # so that an in-place layer behind it does not change what is kept here

    hooks = [model.module.get_submodule(place.name).register_forward_hook(partial(record, place)) for place in layers]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
