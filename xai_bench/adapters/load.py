"""load_model: any name, module or checkpoint to a VisionModel."""

import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

import xai_bench
from xai_bench.adapters.checkpoint import fit_weights, read_recipe, read_weights
from xai_bench.adapters.factories import SCHEMES, Built, build, built_as_is
from xai_bench.adapters.layers import check_layer_name
from xai_bench.adapters.model import Colour, VisionModel
from xai_bench.errors import InvalidValueError, UnsupportedError

DEVICES = "'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'"


def load_model(
    name: str | Path | nn.Module | VisionModel,
    *,
    pretrained: bool | None = None,
    checkpoint: str | Path | None = None,
    mean: Sequence[float | int] | None = None,
    std: Sequence[float | int] | None = None,
    input_size: int | Sequence[int] | None = None,
    layer: str | None = None,
    device: str = "auto",
    label: str | None = None,
    **factory: Any,
) -> VisionModel:
    """A model ready to be explained: in eval mode, float32, on the device.

    `name` is one of

    - `timm:NAME`, any timm classifier, with or without a tag; colours and preprocessing are timm's for it
    - `ersm:NAME`, an energy mask and a linear head on a convolutional timm backbone; the keywords of `EnergyMask`
      (`patch_size`, `unary_weight`, `pairwise_weight`, `temperature`, `mode`, `start`) go to the mask, `stage` puts it
      after an earlier feature map; pretrained weights are the backbone's: mask and head have yet to be trained
    - `hit:NAME`, a hindered transformer (`base_patch8`, `base_patch16`, `tiny`); `patch_size`, `dim`, `depths`, `heads`
      and the other keywords of `HinderedTransformer` change it; there are no pretrained weights
    - `comet:NAME`, a timm classifier that sees what a selector (`selector_width`) lets it see
    - `torch:package.module:factory`, whatever that callable returns; images in [0, 1] go in as they are (mean 0, std 1)
      at 224 x 224 unless `mean`, `std` and `input_size` say otherwise
    - `checkpoint:PATH` or `PATH.safetensors`, written by `save_model`
    - a module, taken as `torch:` is and not copied; its mode and precision stay, and its device with `auto`;
      of one that torch.compile made, the module it was made of; TorchScript is refused
    - a VisionModel, which comes back as it is

    `pretrained` is True unless a checkpoint is given. A checkpoint is safetensors or a torch file that holds nothing
    but weights. `layer` names the layer of CAM methods. Further keywords go to the model's factory.
    Raises UnknownNameError, InvalidValueError, ModelError or UnsupportedError.
    """
    keywords = {
        "pretrained": pretrained, "checkpoint": checkpoint, "mean": mean, "std": std, "input_size": input_size,
        "layer": layer, "label": label,
    }  # fmt: skip
    given = {key: value for key, value in keywords.items() if value is not None} | factory
    for key, value, kind in (("pretrained", pretrained, bool), ("label", label, str), ("layer", layer, str)):
        if value is not None and not isinstance(value, kind):
            raise InvalidValueError(f"{key} of a model must be {kind.__name__}, got {value!r}")
    if isinstance(name, VisionModel):
        return _as_it_is(name, given, device)
    name = _as_written(name) if isinstance(name, nn.Module) else name
    if (path := _checkpoint_path(name)) is not None:
        return _from_recipe(path, given, device)
    place = find_device(device)
    built = _build(name, pretrained=pretrained, checkpoint=checkpoint, size=_size(input_size), factory=factory)
    module = _as_written(built.module)
    title = name if isinstance(name, str) else type(name).__name__
    if checkpoint is not None:
        fit_weights(module, read_weights(Path(checkpoint)), path=Path(checkpoint), name=title)
    if layer is not None:
        check_layer_name(module, layer)
    return VisionModel(
        _placed(module, place) if isinstance(name, str) else _moved(module, device, place),
        name=title,
        mean=_colour("mean", mean) or built.mean,
        std=_colour("std", std) or built.std,
        preprocessing=built.preprocessing,
        layer=layer,
        label=label,
        source=_source(name, checkpoint, factory),
    )


def _source(
    name: object, checkpoint: str | Path | None, factory: dict[str, Any]
) -> tuple[Path, tuple[object, ...]] | None:
    """The checkpoint with everything else that decides the weights; None where objects or foreign code decide too."""
    plain = all(isinstance(value, str | int | float | bool | None) for value in factory.values())
    if checkpoint is None or not isinstance(name, str) or name.startswith("torch:") or not plain:
        return None
    versions = (torch.__version__, version("timm"), xai_bench.__version__)
    return Path(checkpoint), ("state", name, sorted(factory.items()), *versions)


def find_device(wanted: str) -> torch.device:
    """The device of that name; `auto` is CUDA where there is one. One that this machine lacks is refused."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise InvalidValueError(f"device must be {DEVICES}, got {wanted!r}") from error
    if device.type not in {"cpu", "cuda", "mps"}:
        raise InvalidValueError(f"device must be {DEVICES}, got {wanted!r}")
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[device.type]
    if (device.index or 0) >= count:
        raise InvalidValueError(f"device {wanted!r} is not on this machine, which has {count} of its kind")
    return device


def _build(
    name: object, *, pretrained: bool | None, checkpoint: object, size: tuple[int, int] | None, factory: dict[str, Any]
) -> Built:
    if isinstance(name, nn.Module):
        _refuse(factory, "a module that is already built takes no keywords for a factory")
        _refuse({"pretrained": True} if pretrained else {}, "a module brings its own weights")
        return built_as_is(name, size)
    if not isinstance(name, str):
        raise InvalidValueError(f"model must be a name, a torch.nn.Module or a VisionModel, got {name!r}")
    if pretrained and name.startswith("torch:"):
        raise InvalidValueError(
            f"pretrained=True is for 'timm:', 'ersm:' and 'comet:' models; tell the factory of {name!r} its way"
        )
    wanted = checkpoint is None if pretrained is None else pretrained
    return build(name, pretrained=wanted, size=size, factory=factory)


def _as_it_is(model: VisionModel, given: dict[str, Any], device: str) -> VisionModel:
    _refuse(given | ({} if device == "auto" else {"device": device}), "a VisionModel is taken as it is")
    return model


def _refuse(given: dict[str, Any], reason: str) -> None:
    if given:
        raise InvalidValueError(f"{reason}, got {', '.join(f'{key}={value!r}' for key, value in given.items())}")


def _checkpoint_path(name: object) -> Path | None:
    if isinstance(name, Path):
        return name
    if not isinstance(name, str):
        return None
    named = name.removeprefix("checkpoint:")
    return Path(named) if named != name or name.endswith(".safetensors") else None


def _from_recipe(path: Path, given: dict[str, Any], device: str) -> VisionModel:
    """What the checkpoint says, with the caller's keywords on top."""
    if "checkpoint" in given or given.get("pretrained"):
        raise InvalidValueError(f"checkpoint {str(path)!r} brings its own weights; leave out pretrained and checkpoint")
    keywords, preprocessing = read_recipe(path)
    keywords = {"label": path.stem} | keywords | given | {"checkpoint": path, "pretrained": False, "device": device}
    model = load_model(keywords.pop("name"), **keywords)
    model.preprocessing = replace(model.preprocessing, **preprocessing)
    return model


def _placed(module: nn.Module, device: torch.device) -> nn.Module:
    """Ready to run; channels last, in which convolutions are faster on a CPU and differ by rounding alone."""
    return module.float().eval().to(memory_format=torch.channels_last).to(device)


def _moved(module: nn.Module, wanted: str, device: torch.device) -> nn.Module:
    """The caller's own module: moved only where a device was named."""
    return module if wanted == "auto" else module.to(device)


def _as_written(module: nn.Module) -> nn.Module:
    """The module that torch.compile was given; TorchScript is refused. Hooks on either are passed by."""
    if script := next((part for part in module.modules() if isinstance(part, torch.jit.ScriptModule)), None):
        raise UnsupportedError(
            f"module {type(module).__name__!r} holds TorchScript ({type(script).__name__}), whose layers cannot be "
            "looked into; give the module that it was made of"
        )
    written = getattr(module, "_orig_mod", module)
    return written if isinstance(written, nn.Module) else module


def _size(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    match [size, size] if isinstance(size, int) else list(size):
        case [int(height), int(width)] if min(height, width) > 0:
            return height, width
    raise InvalidValueError(f"input_size must be a positive number of pixels or (height, width), got {size!r}")


def _colour(name: str, values: Sequence[float | int] | None) -> Colour | None:
    if values is None:
        return None
    match list(values):
        case [int() | float() as red, int() | float() as green, int() | float() as blue]:
            colour = (float(red), float(green), float(blue))
            if all(map(math.isfinite, colour)) and (name == "mean" or min(colour) > 0):
                return colour
    raise InvalidValueError(f"{name} must be three finite numbers{' above 0' * (name == 'std')}, got {values!r}")


__all__ = ["SCHEMES", "find_device", "load_model"]
