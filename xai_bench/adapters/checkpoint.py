"""Weights on disk: read without running anybody's code, fitted key by key, and written with the way to load them."""

import json
import pickle
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from xai_bench.adapters.model import VisionModel
from xai_bench.errors import InvalidValueError, ModelError
from xai_bench.whole import write_whole

METADATA_KEY = "xai_bench"
WRAPPERS = ("state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema")
PREFIXES = ("module.", "_orig_mod.")  # DistributedDataParallel and torch.compile
SHOWN = 3  # keys named in a refusal

Weights = dict[str, Tensor]


def save_model(
    model: VisionModel, path: str | Path, *, recipe: Mapping[str, Any], training: Mapping[str, Any] | None = None
) -> Path:
    """Write a model as safetensors that `load_model(path)` loads without being told anything else.

    `recipe` holds the keywords of `load_model` that build the module: `{"name": "timm:resnet18", "num_classes": 10}`,
    `training` whatever is to be known of how the weights came to be, which `read_training` gives back.
    Colours and preprocessing are the model's own. What is not JSON raises InvalidValueError.
    The file appears whole or not at all.
    """
    path = Path(path)
    if not isinstance(recipe.get("name"), str):
        raise InvalidValueError(f"recipe needs the name that load_model takes, got {dict(recipe)!r}")
    own = {"mean": model.mean, "std": model.std, "input_size": model.input_size}
    preprocessing = {key: getattr(model.preprocessing, key) for key in ("mode", "crop_pct", "interpolation")}
    facts: dict[str, Any] = {"keywords": own | dict(recipe), "preprocessing": preprocessing}
    try:
        text = json.dumps(facts | ({} if training is None else {"training": dict(training)}))
    except TypeError as error:
        raise InvalidValueError(f"recipe must hold numbers, words, lists and tables only: {error}") from error
    weights = {key: value.detach().cpu().contiguous().clone() for key, value in model.module.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, save(weights, metadata={METADATA_KEY: text}))
    return path


def read_training(path: str | Path) -> dict[str, Any]:
    """What `save_model` was told of how the weights came to be; empty where it was told nothing."""
    path = Path(path)
    try:
        return dict(_read_facts(path).get("training") or {})
    except (ValueError, TypeError) as error:
        raise ModelError(f"checkpoint {str(path)!r} says of its training what cannot be read") from error


def read_recipe(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keywords of `load_model` and the preprocessing that a checkpoint written by `save_model` carries."""
    try:
        stored = _read_facts(path)
        keywords, preprocessing = dict(stored["keywords"]), dict(stored["preprocessing"])
        name = str(keywords["name"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"checkpoint {str(path)!r} carries a recipe that cannot be read: {error}") from error
    if not name.startswith(("timm:", "ersm:", "hit:", "comet:")):  # an import path in a file is code in a file
        raise ModelError(
            f"checkpoint {str(path)!r} is refused: it names code to run, {name!r}; to trust it, "
            "name that yourself and give the file as checkpoint="
        )
    return keywords, preprocessing


def _read_facts(path: Path) -> dict[str, Any]:
    """The JSON that save_model wrote; ValueError where it is none."""
    check_exists(path)
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
    except SafetensorError as error:
        raise ModelError(f"checkpoint {str(path)!r} cannot be read as safetensors: {error}") from error
    if text is None:
        raise ModelError(
            f"checkpoint {str(path)!r} does not say which model it is for; name the model and give it as checkpoint="
        )
    return dict(json.loads(text))


def read_weights(path: Path) -> Weights:
    """The tensors of a .safetensors or torch file, out of their wrappers and without `module.` prefixes."""
    check_exists(path)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise ModelError(
            f"checkpoint {str(path)!r} must hold a state_dict, by itself or as one of {', '.join(WRAPPERS)}, "
            f"got {_described(content)}"
        )
    return _without_prefixes({str(key): value for key, value in content.items()})


def fit_weights(module: nn.Module, weights: Weights, *, path: Path, name: str) -> None:
    """Load the weights into the module; a missing, unexpected or misshapen key is refused before anything changes."""
    own = module.state_dict()
    optional = "num_batches_tracked"  # a counter that old checkpoints lack and inference does not read
    missing = [key for key in own if key not in weights and not key.endswith(optional)]
    unexpected = [key for key in weights if key not in own and not key.endswith(optional)]
    misshapen = [key for key in own if key in weights and own[key].shape != weights[key].shape]
    if missing or unexpected or misshapen:
        shapes = (f"{key} {tuple(weights[key].shape)} for {tuple(own[key].shape)}" for key in misshapen)
        raise ModelError(
            f"checkpoint {str(path)!r} does not fit model {name!r}: {_counted('missing', missing)}, "
            f"{_counted('unexpected', unexpected)}, {_counted('of another shape', shapes)}"
            f"{_hint(own, weights, misshapen, missing, unexpected)}"
        )
    module.load_state_dict(weights, strict=False)


def check_exists(path: Path) -> None:
    """Refuse a file that is not there, naming the nearest one in its folder."""
    if path.is_file():
        return
    if not path.parent.is_dir():
        raise ModelError(f"checkpoint {str(path)!r} does not exist, nor does its folder")
    names = [file.name for file in path.parent.iterdir() if file.is_file()]
    near = get_close_matches(path.name, names, n=1, cutoff=0.5)
    hint = f"did you mean {str(path.with_name(near[0]))!r}?" if near else "and no file there has a name like it"
    raise ModelError(f"checkpoint {str(path)!r} does not exist; {hint}")


def _read_safetensors(path: Path) -> Weights:
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise ModelError(f"checkpoint {str(path)!r} cannot be read as safetensors: {error}") from error


def _read_torch(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if wanted := re.search(r"GLOBAL (\S+)", str(error)):
            raise ModelError(
                f"checkpoint {str(path)!r} is refused: it wants to run code ({wanted[1].rstrip('.')}); "
                "only weights are loaded, so save the model's state_dict() instead"
            ) from error
        raise _unreadable(path) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, IndexError, TypeError) as error:  # text, mostly
        raise _unreadable(path) from error


def _unreadable(path: Path) -> ModelError:
    return ModelError(f"checkpoint {str(path)!r} cannot be read as weights; allowed are .safetensors and torch files")


def _without_prefixes(weights: Weights) -> Weights:
    for prefix in PREFIXES * 2:  # the two nest either way round
        if weights and all(key.startswith(prefix) for key in weights):
            weights = {key.removeprefix(prefix): value for key, value in weights.items()}
    return weights


def _described(content: object) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    return f"a table with {', '.join(map(repr, list(content)[:SHOWN]))}" if content else "an empty table"


def _counted(what: str, keys: Iterable[str]) -> str:
    keys = list(keys)
    more = ", ..." if len(keys) > SHOWN else ""
    return f"{len(keys)} {what} ({', '.join(keys[:SHOWN])}{more})" if keys else f"0 {what}"


def _hint(own: Weights, weights: Weights, misshapen: list[str], missing: list[str], unexpected: list[str]) -> str:
    """What most likely mends it: the number of classes, or a key of nearly the same name."""
    rows = {(len(weights[key]), len(own[key])) for key in misshapen if own[key].ndim and weights[key].ndim}
    rest = all(own[key].shape[1:] == weights[key].shape[1:] for key in misshapen)
    if len(rows) == 1 and rest and not missing and not unexpected:
        (given, built) = rows.pop()
        return f"; the checkpoint has {given} classes and the model {built}: pass num_classes={given}"
    near = get_close_matches(missing[0], unexpected, n=1) if missing else []
    return f"; is {near[0]!r} meant for {missing[0]!r}?" if near else ""
