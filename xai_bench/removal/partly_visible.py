"""PartlyVisible: features of which only some positions may be seen, so that no model needs editing to be masked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.overrides import resolve_name

from xai_bench.errors import UnsupportedError

Rule = Callable[..., Any]  # has the signature of the function it stands for
Border = tuple[int, int, int, int]  # left, right, top, bottom
NO_BORDER: Border = (0, 0, 0, 0)
IMAGE = "bcyx"
POSITIONS = frozenset("yx")

READS = frozenset(
    {
        getattr(Tensor, name).__get__
        for name in ("shape", "ndim", "dtype", "device", "layout", "requires_grad", "is_cuda")
    }
    | {Tensor.size, Tensor.dim, Tensor.stride, Tensor.numel, Tensor.is_contiguous, Tensor.is_floating_point}
)
IN_PLACE: Mapping[Any, Any] = {
    Tensor.__iadd__: Tensor.add,
    Tensor.__imul__: Tensor.mul,
    Tensor.__isub__: Tensor.sub,
    Tensor.__itruediv__: Tensor.div,
    Tensor.div_: Tensor.div,
    Tensor.sub_: Tensor.sub,
    Tensor.add_: Tensor.add,
    Tensor.mul_: Tensor.mul,
    Tensor.sigmoid_: Tensor.sigmoid,
    Tensor.relu_: Tensor.relu,
    torch.relu_: Tensor.relu,
    Tensor.clamp_: Tensor.clamp,
}


class PartlyVisible(Tensor):
    """A feature map (B, C, H, W) with its mask (B, 1, H, W), 1 = visible; every torch function on it follows a rule.

    It holds no numbers of its own (they are in `value`, and are zero where hidden): a function that goes round the
    rules finds nothing to work on, so that a mask can never be ignored silently. A function without a rule raises
    UnsupportedError. `axes` has a letter for each dimension: b, c for anything that shares its position's mask (there
    may be several), y and x for positions; (B, H, W, C) is "byxc". `border` counts the rows and columns that padding
    has added, which are neither visible nor to be filled in.
    """

    value: Tensor
    mask: Tensor
    rules: Mapping[Any, Rule]
    axes: str
    border: Border

    @staticmethod
    def __new__(
        cls,
        value: Tensor,
        mask: Tensor,
        rules: Mapping[Any, Rule],
        axes: str = IMAGE,
        border: Border = NO_BORDER,
    ) -> "PartlyVisible":
        return Tensor._make_wrapper_subclass(cls, value.shape, dtype=value.dtype, device=value.device)

    def __init__(
        self,
        value: Tensor,
        mask: Tensor,
        rules: Mapping[Any, Rule],
        axes: str = IMAGE,
        border: Border = NO_BORDER,
    ) -> None:
        expected = one_channel(value.shape, axes)
        if value.ndim != len(axes) or tuple(mask.shape) != expected:
            refuse(f"features of shape {tuple(value.shape)} under a mask of shape {tuple(mask.shape)}")
        self.value, self.mask, self.rules, self.axes, self.border = value, mask, rules, axes, border

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"PartlyVisible({tuple(self.value.shape)}, {self.mask.mean().item():.0%} visible)"

    def like(self, value: Tensor, mask: Tensor | None = None) -> "PartlyVisible":
        """Other numbers, already zero where hidden, under the same mask or another one."""
        return PartlyVisible(value, self.mask if mask is None else mask, self.rules, self.axes)

    def laid(self, value: Tensor, mask: Tensor, axes: str) -> Tensor:
        """The same features with other axes; ordinary ones where no position is left that a mask could tell."""
        return PartlyVisible(value, mask, self.rules, axes) if POSITIONS & set(axes) else value

    @classmethod
    def __torch_function__(
        cls,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if func in READS:
            return func(*(bare(item) for item in args), **given)
        return next(found(args, given))._follow(func, args, given)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> NoReturn:
        refuse(str(func))

    def _follow(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        rule = self.rules.get(IN_PLACE.get(func, func))
        in_place = func in IN_PLACE or kwargs.get("inplace", False)
        if rule is None or (in_place and not isinstance(args[0], PartlyVisible)):
            refuse(resolve_name(func) or str(func))
        result = rule(*args, **{name: value for name, value in kwargs.items() if name != "inplace"})
        return args[0]._become(result) if in_place else result

    def _become(self, other: "PartlyVisible") -> "PartlyVisible":
        """What an in-place function leaves: whoever holds this object sees the new numbers."""
        self.value, self.mask, self.axes, self.border = other.value, other.mask, other.axes, other.border
        return self


def one_channel(shape: Sequence[int], axes: str) -> tuple[int, ...]:
    """The shape of a mask of features of this shape."""
    return tuple(1 if letter == "c" else side for side, letter in zip(shape, axes, strict=False))


def shown(value: Tensor, mask: Tensor) -> Tensor:
    """Zero where hidden."""
    return value * mask.to(value.dtype)


def bare(item: Any) -> Any:
    """The numbers of features, or the thing itself."""
    return item.value if isinstance(item, PartlyVisible) else item


def found(args: Any, kwargs: Mapping[str, Any]) -> Iterator[PartlyVisible]:
    """The partly visible features among a function's arguments, lists of tensors included."""
    for item in (*args, *kwargs.values()):
        if isinstance(item, PartlyVisible):
            yield item
        elif isinstance(item, tuple | list):
            yield from found(item, {})


def refuse(what: str) -> NoReturn:
    """Raise the one refusal of layer masking, which LayerMasking completes with the layer and the model."""
    raise UnsupportedError(f"layer masking has no rule for {what}")
