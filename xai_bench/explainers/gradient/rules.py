"""Rules in place of derivatives: a forward pass whose functions are run so that its backward pass is another one.

Functions are caught where Python calls torch, so a module, a module used twice, `F.relu`, `x.relu_()` and an activation
inside a fused norm are all the same. What is not caught stands in the graph of the logits, which is read afterwards:
a part that neither a rule nor the list of what may keep its derivative knows is refused by name.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from xai_bench.adapters import VisionModel
from xai_bench.errors import UnsupportedError
from xai_bench.explainers.gradient.graph import strange
from xai_bench.types import Images, Logits, Targets

ACTIVATIONS = frozenset(
    [
        "relu",
        "relu6",
        "hardtanh",
        "clamp",
        "clamp_min",
        "clamp_max",
        "clip",
        "threshold",
        "_threshold",
        "leaky_relu",
        "prelu",
        "rrelu",
        "elu",
        "selu",
        "celu",
        "silu",
        "mish",
        "gelu",
        "hardswish",
        "softplus",
    ]
)
# An activation may hide in a choice: x * (x > 0).
CHOICES = frozenset(["gt", "ge", "lt", "le", "greater", "greater_equal", "less", "less_equal", "heaviside", "sign"])
Function = Callable[..., Tensor]
Handler = Callable[..., Tensor]  # runs in a function's place: is given the function, never in place, and its arguments


class Rules(TorchFunctionMode):
    """Within it, functions of these names are run by their handlers wherever their input depends on the image."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        super().__init__()
        self.handlers, self.chose = handlers, False

    def __torch_function__(
        self, func: Function, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named, called = dict(kwargs or {}), getattr(func, "__name__", "")
        name = called.rstrip("_")
        self.chose = self.chose or (name in CHOICES and any(map(_of_features, args)))
        if not (args and isinstance(args[0], Tensor) and args[0].requires_grad):
            return func(*args, **named)
        if name not in self.handlers:
            return func(*args, **named)
        in_place = named.pop("inplace", False) or called != name
        made = self.handlers[name](_out_of_place(func) if called != name else func, *args, **named)
        return args[0].copy_(made) if in_place else made


def _of_features(given: object) -> bool:
    """Whether it may be what a layer gave, also where it was detached."""
    return isinstance(given, Tensor) and (given.requires_grad or (given.is_floating_point() and given.ndim > 1))


def _out_of_place(function: Function) -> Function:
    return lambda x, *rest, **named: function(x.clone(), *rest, **named)


class Passing(torch.autograd.Function):
    """A value whose backward pass is a product: the gradient, or its positive part alone, times a factor."""

    @staticmethod
    def forward(ctx: Any, _x: Tensor, value: Tensor, factor: Tensor | None, positive: bool) -> Tensor:  # noqa: FBT001
        ctx.save_for_backward(factor)
        ctx.positive = positive
        return value.clone()  # its own memory: a later function may write into it

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (factor,) = ctx.saved_tensors
        gradient = gradients[0].clamp(min=0) if ctx.positive else gradients[0]
        return gradient if factor is None else gradient * factor, None, None, None


def passing(x: Tensor, value: Tensor, factor: Tensor | None = None, *, positive: bool = False) -> Tensor:
    """`value`, as a function of x that has this factor for a derivative."""
    made: Tensor = Passing.apply(x, value.detach(), factor, positive)
    return made


def derivative(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """The value and the derivative of a function that acts on each number alone."""
    with torch.enable_grad():
        point = x.detach().requires_grad_()
        value = function(point)
        (slope,) = torch.autograd.grad(value.sum(), point)
    return value.detach(), slope


def ruled(name: str, model: VisionModel, images: Images, rules: Rules, plain: Callable[[Any], bool]) -> Logits:
    """Logits whose backward pass follows the rules.

    `images` is where the graph begins; parameters are constants. UnsupportedError names the parts of
    the model that no rule changes and that are not `plain`.
    """
    with model.ready(), torch.enable_grad(), rules:
        logits = model(images)
    parts = strange(logits, images, plain) + (["comparison"] if rules.chose else [])
    if parts:
        raise UnsupportedError(f"{name!r} has no rule for these parts of model {model.label!r}: {', '.join(parts)}")
    return logits


def pulled(logits: Logits, targets: Targets, images: Images) -> Images:
    """What the backward pass brings from each image's own target to the image."""
    (found,) = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), images)
    return found


def rooted(images: Images) -> Images:
    """A copy of the images as the place where the graph begins."""
    return images.detach().clone().requires_grad_()


def probe(model: VisionModel) -> Images:
    """One image of noise, of the model's size, to try a model out."""
    noise = torch.rand(1, 3, *model.input_size, generator=torch.Generator().manual_seed(0))
    return rooted(noise.to(model.device, model.dtype))
