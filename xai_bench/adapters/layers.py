"""Target layers: where a model's last spatial activations are, and how to see them as a (B, C, h, w) grid."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from xai_bench.errors import InvalidValueError, UnknownNameError, UnsupportedError
from xai_bench.ersm import ErsmModel
from xai_bench.ersm.stages import evaluating

MAX_PREFIX = 8  # class, distillation and register tokens that a transformer may have without declaring them
ALLOWED = "(B, C, h, w), (B, h, w, C) or (B, tokens, C) with more than one cell"


@dataclass(frozen=True)
class Layout:
    """How a layer's output is laid out in space; a token layout drops `prefix` tokens and reads the rest by rows."""

    kind: Literal["nchw", "nhwc", "tokens"]
    prefix: int = 0  # class, distillation and register tokens in front of the patches
    size: tuple[int, int] | None = None  # (h, w) of the patches; tokens only

    @property
    def channel_axis(self) -> int:
        """The axis of the channels in the layer's own output."""
        return 1 if self.kind == "nchw" else -1

    def fits(self, activation: Tensor) -> bool:
        """Whether a tensor has this layout; a layer that runs twice may give the class token by itself first."""
        if self.kind == "tokens":
            return activation.ndim == 3 and self.size is not None and activation.shape[1] > self.prefix + 1
        return activation.ndim == 4

    def grid(self, activation: Tensor, sizes: Sequence[tuple[int, int]] = ()) -> Tensor:
        """The output as (B, C, h, w); a view, so gradients and changes go through.

        Of tokens, the first of `sizes` that has as many cells; their own size where none are given.
        """
        if self.kind == "nchw":
            return activation
        if self.kind == "nhwc":
            return activation.permute(0, 3, 1, 2)
        batch, tokens, channels = activation.shape
        sizes = sizes or [self.size or (0, 0)]
        size = next((size for size in sizes if math.prod(size) == tokens - self.prefix), None)
        if size is None:
            expected = " or ".join(dict.fromkeys(map(str, sizes)))
            raise InvalidValueError(
                f"expected {self.prefix} + {expected} tokens, got {tokens}; is the image of another size?"
            )
        return activation[:, self.prefix :].transpose(1, 2).reshape(batch, channels, *size)


@dataclass(frozen=True)
class TargetLayer:
    """A layer by its dotted name, and the layout of its output."""

    name: str
    layout: Layout
    made: tuple[int, int] | None = field(default=None, compare=False)  # (H, W) of the image that the layout is of

    def grid(self, activation: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """The layer's output for images of this (H, W), or a gradient of its shape, as (B, C, h, w).

        Patches of tokens stay as large as they were; where so many do not fit, the model brought the images to its own
        size, and its own grid is taken. Tokens that fit neither raise InvalidValueError.
        """
        return self.layout.grid(activation, self._sizes(size))

    def _sizes(self, size: tuple[int, int] | None) -> list[tuple[int, int]]:
        """Rows and columns that images of this size may have; those at the edges left out, or filled up."""
        if self.layout.size is None or self.made is None or size is None:
            return []
        (rows, columns), (height, width) = self.layout.size, self.made
        down, across = rows * size[0], columns * size[1]
        return [(down // height, across // width), (-(-down // height), -(-across // width)), self.layout.size]


def find_layer(module: nn.Module, probe: Tensor) -> TargetLayer:
    """The last layer with a spatial output that the logits depend on; the module is left as found.

    A convolutional model: the stage timm declares as its last, or the last module that runs before pooling.
    A transformer: the last block whose patch tokens the logits depend on, seen either after the block or after its
    first norm. Where a class token is pooled, the last block's own patches are dead and this is `blocks[-1].norm1`.
    `probe` (B, 3, H, W) gives size, device and dtype only. No spatial output at all raises UnsupportedError.
    """
    outputs, logits = _trace(module, probe)
    layouts = {name: layout for name, out in outputs.items() if (layout := _layout(module, out, probe)) is not None}
    if not layouts:
        raise UnsupportedError(
            f"no layer of {type(module).__name__} has a spatial output at {_size(probe)}; name one by layer="
        )
    declared = _declared(module)
    last = declared if declared in layouts else next(reversed(layouts))
    if layouts[last].kind == "tokens":
        last = _last_live(module, outputs, layouts, logits)
    return TargetLayer(last, layouts[last], (probe.shape[2], probe.shape[3]))


def layer_named(module: nn.Module, name: str, probe: Tensor) -> TargetLayer:
    """The layer of that dotted name; an unknown name or one without a spatial output is refused."""
    check_layer_name(module, name)
    outputs, _ = _trace(module, probe)
    if name not in outputs:
        raise InvalidValueError(f"layer {name!r} of {type(module).__name__} does not run in the forward pass")
    layout = _layout(module, outputs[name], probe)
    if layout is None:
        raise InvalidValueError(
            f"layer {name!r} of {type(module).__name__} has no spatial output at {_size(probe)}: "
            f"{_shown(outputs[name])}; allowed are {ALLOWED}"
        )
    return TargetLayer(name, layout, (probe.shape[2], probe.shape[3]))


def check_layer_name(module: nn.Module, name: str) -> None:
    """Refuse a dotted name that the module does not have."""
    names = [known for known, _ in module.named_modules() if known]
    if name not in names:
        near = get_close_matches(name, names)  # hundreds of names help nobody
        raise UnknownNameError.of(
            f"layer of {type(module).__name__}", name, near or [child for child, _ in module.named_children()]
        )


def pooled_head(module: nn.Module, layer: TargetLayer, probe: Tensor) -> str:
    """The name of the linear layer that makes the logits of the layer's mean over space, "" where none does.

    Only then is a class activation map (CAM) the logit, cell by cell. Tried out on noise, not read from names.
    """
    means, logits = _trace(module, probe, partial(_mean, module, probe))
    return _head_of(module, means[layer.name], logits)


def pooled_layer(module: nn.Module, probe: Tensor) -> str:
    """The name of the last layer whose mean over space a linear layer makes the logits of, "" where there is none."""
    means, logits = _trace(module, probe, partial(_mean, module, probe))
    return next((name for name, mean in reversed(means.items()) if _head_of(module, mean, logits)), "")


def _mean(module: nn.Module, probe: Tensor, output: object) -> Tensor | None:
    """The mean over space, taken at once, since a layer behind may write over the output."""
    layout = _layout(module, output, probe)
    return layout.grid(output).mean((2, 3)) if layout and isinstance(output, Tensor) else None


def _head_of(module: nn.Module, pooled: Tensor | None, logits: Tensor) -> str:
    """The name of the linear layer that makes the logits of this."""
    if pooled is None:
        return ""
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear) and part.in_features == pooled.shape[1]:
            made = part(pooled)
            if made.shape == logits.shape and torch.allclose(made, logits, rtol=1e-4, atol=1e-5):
                return str(name)
    return ""


def _trace(
    module: nn.Module, probe: Tensor, kept: Callable[[Any], Any] = lambda output: output
) -> tuple[dict[str, Any], Any]:
    """What is kept of every module's output by name in the order of execution (children first), and the logits."""
    outputs: dict[str, Any] = {}
    with torch.inference_mode(mode=False), torch.enable_grad(), evaluating(module), _recording(module, outputs, kept):
        # Noise, because a constant image has no gradient behind a layer norm.
        noise = torch.rand(probe.shape, generator=torch.Generator().manual_seed(0)).to(probe.device, probe.dtype)
        logits = module(noise.requires_grad_())
    return outputs, logits


@contextmanager
def _recording(module: nn.Module, outputs: dict[str, Any], kept: Callable[[Any], Any]) -> Iterator[None]:
    def record(name: str, output: object) -> None:
        outputs.pop(name, None)  # a module that runs twice counts where it ran last
        outputs[name] = kept(output)

    inner = [(name, child) for name, child in module.named_modules() if name]
    hooks = [child.register_forward_hook(lambda _m, _i, out, name=name: record(name, out)) for name, child in inner]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _declared(module: nn.Module) -> str | None:
    """The stage that the model itself says is its last: ours by class, timm's by `feature_info`."""
    if isinstance(module, ErsmModel):
        return module.last_map
    stages = getattr(module, "feature_info", None)
    return stages[-1].get("module") if isinstance(stages, list) and stages and isinstance(stages[-1], dict) else None


def _layout(module: nn.Module, output: object, probe: Tensor) -> Layout | None:
    if not isinstance(output, Tensor) or len(output) != len(probe):
        return None
    if output.ndim == 3:
        return token_layout(module, output.shape[1], probe)
    if output.ndim != 4:
        return None
    fits: dict[Literal["nchw", "nhwc"], bool] = {
        "nchw": _is_grid(output.shape[2:], probe),
        "nhwc": _is_grid(output.shape[1:3], probe),
    }
    kinds = [kind for kind, fit in fits.items() if fit]
    if len(kinds) == 2:  # as many channels as rows and columns: believe the model
        return Layout("nhwc" if getattr(module, "output_fmt", None) == "NHWC" else "nchw")
    return Layout(kinds[0]) if kinds else None


def _is_grid(size: tuple[int, ...], probe: Tensor) -> bool:
    """More than one cell, and in the image's proportions, to within one cell where the image is not square."""
    (rows, columns), (height, width) = size, probe.shape[2:]
    if rows * columns <= 1 or rows > height or columns > width:
        return False
    return rows == columns if height == width else abs(rows * width - columns * height) <= max(height, width)


def token_layout(module: nn.Module, count: int, probe: Tensor) -> Layout | None:
    """How so many tokens lie on images of the probe's size; None where they are no grid, whatever is in front."""
    declared = getattr(module, "num_prefix_tokens", None)
    prefixes = [declared] if isinstance(declared, int) else []  # some stages run before the class token joins
    for prefix in (*prefixes, *range(MAX_PREFIX + 1)):
        if (size := _token_grid(module, count - prefix, probe)) is not None:
            return Layout("tokens", prefix, size)
    return None


def _token_grid(module: nn.Module, count: int, probe: Tensor) -> tuple[int, int] | None:
    """Rows and columns of so many patches: as the model says, or the factors in the image's proportions."""
    declared = getattr(getattr(module, "patch_embed", None), "grid_size", None)
    if declared is not None and math.prod(declared) == count and _is_grid(declared, probe):
        return (declared[0], declared[1])
    sizes = [(rows, count // rows) for rows in range(1, count + 1) if count % rows == 0]
    height, width = probe.shape[2:]
    fitting = [size for size in sizes if _is_grid(size, probe)]
    return min(fitting, key=lambda size: abs(size[0] * width - size[1] * height), default=None)


def _last_live(module: nn.Module, outputs: Mapping[str, Any], layouts: Mapping[str, Layout], logits: object) -> str:
    """The first candidate whose patches the logits depend on; where none is (a zero head), what would be usual."""
    tokens = [name for name, layout in layouts.items() if layout.kind == "tokens" and outputs[name].requires_grad]
    blocks = _outermost_members(module, tokens)
    candidates = [name for block in reversed(blocks) for name in (block, *_first_norm(module, block, tokens))]
    rest = [name for name in reversed(tokens) if name not in candidates]  # blocks that return tuples are not seen
    candidates += sorted(rest, key=lambda name: not _is_norm(module.get_submodule(name)))
    gradients = _gradients(logits, [outputs[name] for name in candidates])
    for name, gradient in zip(candidates, gradients, strict=True):
        if gradient is not None and layouts[name].grid(gradient).any():
            return name
    pooled = [name for name in candidates if name in blocks and not layouts[name].prefix]
    norms = [name for name in candidates if name not in blocks and _is_norm(module.get_submodule(name))]
    return next(iter((*pooled, *norms, *reversed(list(layouts)))))


def _gradients(logits: object, tensors: list[Tensor]) -> tuple[Tensor | None, ...]:
    if not isinstance(logits, Tensor) or not logits.requires_grad or not tensors:
        return (None,) * len(tensors)
    # Unequal weights, because logits whose sum is constant (a log-softmax) would cancel.
    with torch.inference_mode(mode=False), torch.enable_grad():
        weights = torch.linspace(1, 2, logits[0].numel(), device=logits.device, dtype=logits.dtype)
        return torch.autograd.grad((logits.flatten(1) * weights).sum(), tensors, allow_unused=True)


def _outermost_members(module: nn.Module, names: list[str]) -> list[str]:
    """Those that stand in a Sequential or ModuleList and not inside another such: a transformer's blocks."""
    members: list[str] = []
    for name in sorted(names, key=lambda name: name.count(".")):
        parent = module.get_submodule(name.rpartition(".")[0])
        if isinstance(parent, nn.Sequential | nn.ModuleList) and not any(name.startswith(f"{m}.") for m in members):
            members.append(name)
    return sorted(members, key=names.index)


def _first_norm(module: nn.Module, block: str, names: list[str]) -> list[str]:
    return [name for name in names if name.rpartition(".")[0] == block and _is_norm(module.get_submodule(name))][:1]


def _is_norm(module: nn.Module) -> bool:
    return "norm" in type(module).__name__.lower()


def _size(probe: Tensor) -> str:
    return f"{probe.shape[2]} x {probe.shape[3]}"


def _shown(output: object) -> str:
    return f"its shape is {tuple(output.shape)}" if isinstance(output, Tensor) else f"it is a {type(output).__name__}"
