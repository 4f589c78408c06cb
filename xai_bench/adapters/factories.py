"""Modules by name: timm's, ERSM models on timm's, and any factory by import path."""

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import huggingface_hub
import timm
import torch
from huggingface_hub.errors import HfHubHTTPError
from timm.data.config import resolve_model_data_config
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import PretrainedCfg
from torch import nn

from xai_bench.adapters.model import Colour, Preprocessing
from xai_bench.errors import InvalidValueError, ModelError, UnknownNameError, UnsupportedError
from xai_bench.ersm import EnergyMask, ErsmModel
from xai_bench.ersm.stages import cut
from xai_bench.intrinsic import ARCHITECTURES, CometModel, HinderedTransformer, Selector

# The forms of a model's name, and what each stands for.
SCHEMES: Mapping[str, str] = {
    "timm:NAME": "any timm classifier, with or without a tag of its weights",
    "ersm:NAME": "an energy mask and a linear head on a convolutional timm backbone",
    "hit:NAME": "a hindered transformer, whose logits are sums over patches: base_patch8, base_patch16 or tiny",
    "comet:NAME": "a selector, and a timm classifier that sees what it selects",
    "torch:package.module:factory": "whatever module that callable returns",
    "checkpoint:PATH": "a .safetensors written by save_model; the prefix may be left out",
}
MASK_KEYWORDS = ("patch_size", "unary_weight", "pairwise_weight", "temperature", "mode", "start")  # of EnergyMask
FACTORY_KEYWORDS = ("num_classes", "img_size", "pad_type", "global_pool", "drop_rate", "output_stride")
OWN_KEYWORDS = ("patch_size", "dim", "depths", "heads", "mlp_ratio", "attention_dropout", "selector_width")
IDENTITY_SIZE = (224, 224)
REACH_SECONDS = 10.0
WITHOUT_WEIGHTS = "pass pretrained=False for random weights or checkpoint=PATH for yours"
# What a hub that cannot be reached raises. The hub's HTTP library differs between its versions (requests, httpx), so
# its base error is taken from the hub's own; timm's plain URLs raise URLError, an OSError.
DOWNLOAD_ERRORS: tuple[type[Exception], ...] = (OSError, *HfHubHTTPError.__bases__)

Factory = Mapping[str, Any]


@dataclass(frozen=True)
class Built:
    """A module, and what it expects of an image."""

    module: nn.Module
    mean: Colour = (0.0, 0.0, 0.0)
    std: Colour = (1.0, 1.0, 1.0)
    preprocessing: Preprocessing = Preprocessing(IDENTITY_SIZE)  # noqa: RUF009 (frozen)


def build(name: str, *, pretrained: bool, size: tuple[int, int] | None, factory: Factory) -> Built:
    """The module that a name stands for, on the CPU."""
    source, _, rest = name.partition(":")
    match source:
        case "timm":
            return _timm(rest, name, pretrained=pretrained, size=size, factory=factory)
        case "ersm":
            return _ersm(rest, name, pretrained=pretrained, size=size, factory=factory)
        case "hit":
            return _hit(rest, name, pretrained=pretrained, size=size, factory=factory)
        case "comet":
            return _comet(rest, name, pretrained=pretrained, size=size, factory=factory)
        case "torch":
            return built_as_is(_imported(rest, name, factory), size)
    near = get_close_matches(f"timm:{name}", [f"timm:{known}" for known in timm.list_models()], n=1, cutoff=0.7)
    hint = f"did you mean {near[0]!r}?" if near and ":" not in name else f"allowed are {', '.join(SCHEMES)}"
    raise UnknownNameError(f"unknown model {name!r}; {hint}")


def built_as_is(module: nn.Module, size: tuple[int, int] | None) -> Built:
    """A module of which nothing is known: images in [0, 1] go in as they are, squashed to 224 x 224."""
    return Built(module, preprocessing=Preprocessing(size or IDENTITY_SIZE))


def _timm(rest: str, name: str, *, pretrained: bool, size: tuple[int, int] | None, factory: Factory) -> Built:
    config = _config(rest, name)
    _classes(name, config, factory)
    module, size = _created(rest, name, config, pretrained=pretrained, size=size, factory=factory)
    return _expecting(module, module, size)


def _ersm(rest: str, name: str, *, pretrained: bool, size: tuple[int, int] | None, factory: Factory) -> Built:
    config = _config(rest, name)
    mask = {key: value for key, value in factory.items() if key in MASK_KEYWORDS}
    classes = _classes(name, config, factory)
    inner = {key: value for key, value in factory.items() if key not in mask} | {"num_classes": 0}
    stage = inner.pop("stage", None)
    backbone, size = _created(rest, name, config, pretrained=pretrained, size=size, factory=inner)
    expected = _expecting(backbone, backbone, size)
    probe = torch.rand(1, 3, *expected.preprocessing.size, generator=torch.Generator().manual_seed(0))
    place = cut(backbone, stage, probe, title=f"model {name!r}")
    energy = EnergyMask(place.map[0], **mask)
    with torch.no_grad():
        energy(torch.zeros(1, *place.map))  # refuses a patch size that does not divide the grid
    return _expecting(ErsmModel(backbone, num_classes=classes, mask=energy, stage=place), backbone, size)


def _hit(rest: str, name: str, *, pretrained: bool, size: tuple[int, int] | None, factory: Factory) -> Built:
    if rest not in ARCHITECTURES:
        raise UnknownNameError.of("model", name, (f"hit:{known}" for known in ARCHITECTURES))
    if pretrained:
        raise ModelError(f"there are no pretrained weights for model {name!r}; {WITHOUT_WEIGHTS}")
    options = {**ARCHITECTURES[rest], "num_classes": 1000, **factory}
    if size is not None:
        options["img_size"] = size
    module = _called(HinderedTransformer, name, options, **options)
    return Built(module, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, Preprocessing(module.img_size, mode="crop"))


def _comet(rest: str, name: str, *, pretrained: bool, size: tuple[int, int] | None, factory: Factory) -> Built:
    config = _config(rest, name)
    _classes(name, config, factory)
    width = {"width": factory["selector_width"]} if "selector_width" in factory else {}
    inner = {key: value for key, value in factory.items() if key != "selector_width"}
    predictor, shape = _created(rest, name, config, pretrained=pretrained, size=size, factory=inner)
    detector, _ = _created(rest, name, config, pretrained=pretrained, size=size, factory=inner)
    selector = _called(Selector, name, width, **width)
    return _expecting(CometModel(selector, predictor, detector), predictor, shape)


def _classes(name: str, config: PretrainedCfg, factory: Factory) -> int:
    classes = factory.get("num_classes", config.num_classes)
    if "num_classes" in factory and (not isinstance(classes, int) or classes < 1):
        raise InvalidValueError(f"num_classes of model {name!r} must be a whole number from 1, got {classes!r}")
    if not classes:
        raise UnsupportedError(f"model {name!r} has no classifier to explain; pass num_classes= to add one")
    return int(classes)


def _config(rest: str, name: str) -> PretrainedCfg:
    """Timm's record of a model; an unknown name or tag is refused with the nearest."""
    arch, _, tag = rest.partition(".")
    kind = name.removesuffix(rest)
    if not rest or not timm.is_model(rest):
        near = get_close_matches(arch, timm.list_models(), n=3)
        meant = " or ".join(repr(kind + known) for known in near)
        hint = f"did you mean {meant}?" if near else "see timm.list_models()"
        raise UnknownNameError(f"unknown model {name!r}; {hint}")
    try:
        return timm.get_pretrained_cfg(rest) or PretrainedCfg()
    except RuntimeError:  # timm's word for an unknown tag
        tags = [known.partition(".")[2] for known in timm.list_models(f"{arch}.*", pretrained=True)]
        raise UnknownNameError.of(f"weights of {kind}{arch}", tag, tags) from None


def _created(
    rest: str, name: str, config: PretrainedCfg, *, pretrained: bool, size: tuple[int, int] | None, factory: Factory
) -> tuple[nn.Module, tuple[int, int] | None]:
    """Timm's module, and the image size it was asked for."""
    if size is None and "img_size" in factory:
        wanted = factory["img_size"]
        size = (wanted, wanted) if isinstance(wanted, int) else (wanted[0], wanted[1])
    if size is not None and config.fixed_input_size:  # transformers are built for one size
        factory = {"img_size": size} | dict(factory)
    weights = _weights_source(name, config) if pretrained else {}
    options = dict(pretrained=pretrained, **weights, **factory)
    try:
        return _called(timm.create_model, name, factory, rest, **options), size
    except DOWNLOAD_ERRORS as error:
        raise _not_downloaded(name, error) from error


def _weights_source(name: str, config: PretrainedCfg) -> dict[str, Any]:
    """Where timm finds the weights: the local cache by path, else the hub, reached once before timm's long retries."""
    if not config.has_weights:
        raise ModelError(f"timm has no pretrained weights for model {name!r}; {WITHOUT_WEIGHTS}")
    if not config.hf_hub_id or config.hf_hub_filename or config.source:
        return {}
    for file in ("model.safetensors", "pytorch_model.bin"):
        cached = huggingface_hub.try_to_load_from_cache(config.hf_hub_id, file)
        if isinstance(cached, str):
            return {"pretrained_cfg_overlay": {"file": cached}}
    _reach_hub(name, huggingface_hub.hf_hub_url(config.hf_hub_id, "model.safetensors"))
    return {}


def _reach_hub(name: str, url: str) -> None:
    try:
        huggingface_hub.get_hf_file_metadata(url, timeout=REACH_SECONDS)
    except HfHubHTTPError:
        return  # it answered; timm knows other file names
    except DOWNLOAD_ERRORS as error:
        raise _not_downloaded(name, error) from error


def _not_downloaded(name: str, error: Exception) -> ModelError:
    return ModelError(
        f"weights of model {name!r} could not be downloaded ({type(error).__name__}: {_first_line(error)}); "
        f"{WITHOUT_WEIGHTS}"
    )


def _expecting(module: nn.Module, described: nn.Module, size: tuple[int, int] | None) -> Built:
    """What timm's record says of images, with the size that was asked for."""
    config: dict[str, Any] = resolve_model_data_config(described)  # type: ignore[no-untyped-call]
    crop = config["crop_mode"] == "center"  # `border` (three models) pads; squashing keeps all of the image too
    preprocessing = Preprocessing(
        size or tuple(config["input_size"][1:]),
        mode="crop" if crop else "squash",
        crop_pct=config["crop_pct"],
        interpolation=config["interpolation"],
    )
    return Built(module, tuple(config["mean"]), tuple(config["std"]), preprocessing)


def _imported(rest: str, name: str, factory: Factory) -> nn.Module:
    path, _, attribute = rest.partition(":")
    if not path or not attribute:
        raise InvalidValueError(f"model {name!r} must be 'torch:package.module:factory'")
    try:
        package = importlib.import_module(path)
    except ImportError as error:
        raise ModelError(f"model {name!r} cannot be imported: {_first_line(error)}{_nearby(path, error)}") from error
    if not hasattr(package, attribute):
        raise UnknownNameError.of(f"factory in {path}", attribute, _callables(package))
    module = _called(getattr(package, attribute), name, factory, **factory)
    if not isinstance(module, nn.Module):
        raise ModelError(f"model {name!r} must return a torch.nn.Module, got {type(module).__name__}")
    return module


def _nearby(path: str, error: ImportError) -> str:
    """A console script, unlike `python -m`, does not look into the current folder."""
    missing = isinstance(error, ModuleNotFoundError) and f"{path}.".startswith(f"{error.name}.")
    return "; `PYTHONPATH=. xai-bench ...` finds modules of this folder" if missing else ""


def _callables(package: object) -> list[str]:
    return [name for name in dir(package) if not name.startswith("_") and callable(getattr(package, name))]


def _called(create: Callable[..., Any], name: str, factory: Factory, *arguments: object, **options: object) -> Any:
    """The factory's answer; a keyword or value that it refuses is the caller's to mend."""
    try:
        return create(*arguments, **options)
    except TypeError as error:
        wrong = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if wrong and wrong[1] in factory:
            raise InvalidValueError(f"model {name!r} does not take {wrong[1]!r}{_near(wrong[1])}") from error
        raise _not_built(name, factory, error) from error
    except (ValueError, RuntimeError, AssertionError) as error:
        raise _not_built(name, factory, error) from error


def _not_built(name: str, factory: Factory, error: Exception) -> ModelError:
    given = ", ".join(f"{key}={value!r}" for key, value in factory.items()) or "its defaults"
    return ModelError(f"model {name!r} could not be built with {given}: {_first_line(error)}")


def _near(keyword: str, known: Iterable[str] = (*FACTORY_KEYWORDS, *MASK_KEYWORDS, *OWN_KEYWORDS, "stage")) -> str:
    near = get_close_matches(keyword, known, n=1)
    return f"; did you mean {near[0]!r}?" if near and near[0] != keyword else ""


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
