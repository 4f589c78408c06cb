"""How an entry is used: one suite, said in Python and in TOML."""

import json
from collections.abc import Mapping
from typing import Any

CLASSES = {"cat": 281, "dog": 207}  # of ImageNet
TRAINED = "trained/first/{}-seed0.safetensors"  # what `xai-bench train examples/train.toml` writes
OWN_MODELS = {"energy": "ersm", "energy_field": "ersm", "patch_contributions": "hit", "selection": "comet"}
OFFERS_A_MAP = "torch:yours:model"  # a module of one's own that has a method native_map
RETRAINING = ("roar", "kar", "diffroar")
CONTROLS = ("random", "centre", "edges", "constant")

PRINTED = 'print(results.summary()[["explainer", "metric", "mean", "low", "high"]].to_string())'


def use(kind: str, entry: Any) -> dict[str, Any]:
    """A small suite that asks for the entry, of a model and data that it can work with."""
    name, needs = entry.card.name, entry.card.needs
    metrics: list[Any] = [_metric(name)] if kind == "metrics" else ["deletion", "insertion"]
    if kind == "removals":
        metrics = [{"name": "pixel_flipping", "removal": name} | _unit(name)]
    asked = ["gradcam", "random"]
    if kind == "explainers":
        asked = ["gradcam", name] if name in CONTROLS else [_explainer(name), "random"]
    found: dict[str, Any] = {"models": [_model(entry)], "explainers": asked, "metrics": metrics}
    if kind == "metrics" and "maps" not in needs:
        del found["explainers"]
    return found | {"data": _data(name, needs)}


def _metric(name: str) -> Any:
    if name in RETRAINING:
        return {"name": name, "train": {"name": "planted", "n": 500}}
    return {"name": name, "matrix": "similarities.npy"} if name == "label_similarity" else name


def _explainer(name: str) -> Any:
    return {"name": "maps", "path": "theirs"} if name == "maps" else name


def _model(entry: Any) -> str:
    name = entry.card.name
    if name == "native_map":
        return OFFERS_A_MAP
    if name in OWN_MODELS or name in RETRAINING:
        return TRAINED.format(OWN_MODELS.get(name, "plain"))
    if name == "cam":
        return "timm:resnet18"
    tokens = name == "token_dropping" or getattr(entry.card, "family", "") == "attention"
    return "timm:vit_small_patch16_224" if tokens else "timm:resnet50"


def _unit(name: str) -> dict[str, Any]:
    """Tokens are dropped patch by patch."""
    return {"unit": {"name": "patch", "side": 16}} if name == "token_dropping" else {}


def _data(name: str, needs: frozenset[str]) -> dict[str, Any]:
    if name in RETRAINING or name in OWN_MODELS:
        return {"name": "planted", "split": "shifted", "n": 100}
    masks = {"masks": "masks"} if "regions" in needs else {}
    return {"name": "folder", "path": "pictures"} | masks | ({"class_index": CLASSES} if "labels" in needs else {})


def python(suite: Mapping[str, Any]) -> str:
    """The suite as a call; JSON of names, numbers and lists is Python."""
    keywords = "\n".join(f"    {key}={json.dumps(value)}," for key, value in suite.items())
    return f"import xai_bench as xb\n\nresults = xb.evaluate(\n{keywords}\n)\n{PRINTED}"


def toml(suite: Mapping[str, Any]) -> str:
    """The suite as a file for `xai-bench run`."""
    lists = [f"{key} = {inline(suite[key])}" for key in ("explainers", "metrics") if key in suite]
    data = [f"{key} = {inline(value)}" for key, value in suite["data"].items()]
    return "\n".join([*lists, "", "[[models]]", f"name = {inline(suite['models'][0])}", "", "[data]", *data])


def inline(value: Any) -> str:
    """A value of TOML on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {inline(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return json.dumps(value)
