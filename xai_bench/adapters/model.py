"""VisionModel: a module with what it expects of an image, and where its last spatial activations are."""

import hashlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from xai_bench.adapters.layers import Layout, TargetLayer, find_layer, layer_named, pooled_layer
from xai_bench.behaviour import PLAIN, behaviour
from xai_bench.data.image import Preprocessing
from xai_bench.digests import remembered
from xai_bench.errors import UnsupportedError
from xai_bench.ersm import EnergyMask
from xai_bench.types import Images, Inputs, Logits

LIBRARIES = frozenset({"torch", "torchvision", "timm", "xai_bench"})  # of one version, one code
INERT = frozenset({"Identity", "DropPath", "DropBlock2d", "AlphaDropout", "FeatureAlphaDropout"}) | {
    f"Dropout{dimensions}" for dimensions in ("", "1d", "2d", "3d")
}  # of these libraries; what is evaluated has them or not, alike
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of a function among a layer's settings: another one in every process
Colour = tuple[float, float, float]


class VisionModel:
    """A classifier of RGB images in [0, 1]: normalises, runs, and knows its target layer.

    `module` stays the caller's: whatever is changed while it works (mode, hooks, `requires_grad`) is put back.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        name: str,
        mean: Colour,
        std: Colour,
        preprocessing: Preprocessing,
        layer: str | None = None,
        label: str | None = None,
        source: tuple[Path, tuple[object, ...]] | None = None,
    ) -> None:
        self.module, self.name, self.label = module, name, label or name
        self.mean, self.std, self.preprocessing = mean, std, preprocessing
        self._layer = layer
        self._layers: dict[str, TargetLayer] = {}
        self.elsewhere = 0  # images that went through copies of the module, which hooks on it do not see
        self.source = source  # the checkpoint, and all else that decided the weights
        self._loaded = _traces(module)
        floating = (parameter.dtype for parameter in module.parameters() if parameter.is_floating_point())
        self.dtype = next(floating, torch.float32)  # of the weights, which images are brought to

    def __repr__(self) -> str:
        return f"VisionModel({self.name!r}, {self.input_size[0]} x {self.input_size[1]}, {self.fingerprint})"

    def __call__(self, images: Images) -> Logits:
        """Images in [0, 1] to logits; gradients flow where the caller has them on."""
        return self.as_logits(self.module(self.normalise(images)), len(images))

    def as_logits(self, found: object, count: int) -> Logits:
        """What the module gave for so many images, as (B, K) float32; refused where it is anything else."""
        if isinstance(found, Tensor) and found.ndim == 2 and len(found) == count:
            return found.float()
        shown = f"a tensor {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise UnsupportedError(
            f"model {self.label!r} gives {shown} for {count} images, but must give logits, "
            f"a tensor ({count}, classes); wrap it in a module that does"
        )

    @property
    def device(self) -> torch.device:
        """Where the module's parameters are."""
        return next(iter(self.module.parameters()), torch.zeros(())).device

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the images it was made for."""
        return self.preprocessing.size

    def normalise(self, images: Images) -> Inputs:
        """Subtract the mean and divide by the standard deviation of each colour; luma of that for one channel.

        In the precision of the module's weights.
        """
        mean, std = (images.new_tensor(colour).view(3, 1, 1) for colour in (self.mean, self.std))
        normalised = ((images - mean) / std).to(self.dtype)
        if self.channels == 3:
            return normalised
        return (normalised * normalised.new_tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)

    @cached_property
    def channels(self) -> int:
        """That the module itself takes: 3, or 1 where it is a library's model of grey images; others are refused."""
        first = next((part.in_channels for part in self.module.modules() if isinstance(part, nn.Conv2d)), 3)
        count = first if _home(self.module) in {"timm", "torchvision"} else 3  # the caller's own may mix colours first
        if count in (1, 3):
            return count
        raise UnsupportedError(f"model {self.label!r} takes {count} channels; it must take 3, RGB, or 1, luma")

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits over weights, structure, preprocessing and a named layer.

        And over the code of the caller's layers. Those of a checkpoint's weights are remembered.
        """
        return self.fingerprinted()

    def fingerprinted(self) -> str:
        """The fingerprint, looked at again: the weights may have changed since somebody asked for it."""
        if self.source is None or _traces(self.module) != self._loaded:
            return self._fingerprint()
        path, parts = self.source
        known = (*parts, self.mean, self.std, self.preprocessing, *_sums(self.module), *self._behaviour())
        return remembered(path, known, self._fingerprint)

    def _fingerprint(self) -> str:
        sha = hashlib.sha256(repr((self.mean, self.std, self.preprocessing)).encode())
        for name, value in sorted(self.module.state_dict().items()):
            sha.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
            sha.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        for text in self._behaviour():
            sha.update(text.encode())
        return sha.hexdigest()[:12]

    def _behaviour(self) -> list[str]:
        """What no weight shows: a named target layer, the parts that act and their settings (a ReLU, a stride).

        Of layers that are no library's, their code and attributes too.
        """
        parts = [(name, part, _home(part) in LIBRARIES) for name, part in self.module.named_modules()]
        named = [f"target layer {self._layer}"] if self._layer else []
        built = [
            f"{name} {type(part).__name__}({_ADDRESS.sub('', part.extra_repr())})"
            for name, part, known in parts
            if not (known and type(part).__name__ in INERT)
        ]
        others = (part for _, part, known in parts if not known)
        return [*named, *built, *(behaviour(type(part), _settings(part)) for part in others)]

    @cached_property
    def target_layer(self) -> TargetLayer:
        """The layer CAM methods read: the one named at loading, or the last with a spatial output."""
        with self.ready(), uncompiled():
            probe = self._probe()
            return layer_named(self.module, self._layer, probe) if self._layer else find_layer(self.module, probe)

    def _probe(self) -> Inputs:
        return torch.zeros(1, self.channels, *self.input_size, device=self.device, dtype=self.dtype)

    @property
    def layer(self) -> str:
        """Dotted name of the target layer."""
        return self.target_layer.name

    def layer_at(self, name: str = "") -> TargetLayer:
        """The layer of that dotted name, "" for the target layer; one that has no spatial output is refused."""
        if not name:
            return self._layers.setdefault(self.target_layer.name, self.target_layer)
        if name not in self._layers:
            with self.ready(), uncompiled():
                self._layers[name] = layer_named(self.module, name, self._probe())
        return self._layers[name]

    @cached_property
    def pooled_layer(self) -> str:
        """Dotted name of the last layer whose mean over space is all that a linear head reads, "" where none is."""
        with self.ready(), uncompiled():
            return pooled_layer(self.module, self._probe())

    @property
    def energy_mask(self) -> EnergyMask:
        """The model's own mask layer; refused where it has none."""
        for module in self.module.modules():
            if isinstance(module, EnergyMask):
                return module
        raise UnsupportedError(
            f"model {self.label!r} has no energy mask; 'energy' and 'energy_field' read one, so they need "
            "an 'ersm:' model"
        )

    @contextmanager
    def ready(self) -> Iterator["VisionModel"]:
        """The module in eval mode with frozen parameters; modes and flags are put back on leaving.

        Parts that timm's `set_grad_checkpointing` runs behind the back of hooks run as usual meanwhile.
        """
        modes = [(module, module.training) for module in self.module.modules()]
        hidden = [module for module in self.module.modules() if getattr(module, "grad_checkpointing", False) is True]
        flags = [(parameter, parameter.requires_grad) for parameter in self.module.parameters()]
        self.module.eval()
        try:
            for parameter, _ in flags:
                parameter.requires_grad = False
            for module in hidden:
                module.grad_checkpointing = False  # type: ignore[assignment]
            yield self
        finally:
            for module in hidden:
                module.grad_checkpointing = True  # type: ignore[assignment]
            for module, training in modes:
                module.training = training
            for parameter, needed in flags:
                parameter.requires_grad = needed


@contextmanager
def uncompiled() -> Iterator[None]:
    """What torch.compile made runs as it was written meanwhile: compiled code passes hooks by."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and the import takes seconds
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def _home(part: nn.Module) -> str:
    """The package that a layer comes from."""
    return type(part).__module__.partition(".")[0]


def _traces(module: nn.Module) -> tuple[object, ...]:
    """Where each weight lies and how often it was changed in place; nothing is read."""
    state = module.state_dict().items()
    return tuple((name, value.data_ptr(), None if value.is_inference() else value._version) for name, value in state)


def _sums(module: nn.Module) -> tuple[int, ...]:
    """The sum of each weight's bytes: far cheaper than their hash, and another where `.data` was written to."""
    state = sorted(module.state_dict().items())
    return tuple(int(value.detach().contiguous().flatten().view(torch.uint8).sum()) for _, value in state)


def _settings(part: nn.Module) -> dict[str, object]:
    """Attributes that are plain or functions; what a layer counts or collects is not what it does."""
    held = {name: value for name, value in vars(part).items() if not name.startswith("_") and name != "training"}
    return {name: value for name, value in held.items() if isinstance(value, PLAIN) or callable(value)}


__all__ = ["Layout", "Preprocessing", "TargetLayer", "VisionModel", "uncompiled"]
