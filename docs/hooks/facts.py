"""What the catalogues say of an entry: parameters, protocols, tables. Nothing is written twice."""

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import tomli_w

from xai_bench.catalogue import Catalogue, _words, describe, fields, text
from xai_bench.explainers import EXPLAINERS, Explainer
from xai_bench.metrics import METRICS, Metric
from xai_bench.removal import REMOVALS, Removal
from xai_bench.training import TrainSet

COMMENT = re.compile(r"^    (\w+): [^#\n]*  # (?!noqa|type:)(.*?)(?:  # .*)?$", re.MULTILINE)
KINDS: dict[str, Catalogue[Any]] = {"metrics": METRICS, "explainers": EXPLAINERS, "removals": REMOVALS}
BASES = {Metric, Explainer, Removal}


class Parameter(NamedTuple):
    """A field as the page shows it."""

    name: str
    kind: str  # int or 'adaptive'
    default: str
    meaning: str  # the comment beside the field


class Protocol(NamedTuple):
    """A named set of parameters."""

    name: str  # deletion@rise
    changes: str  # steps=224, ...
    spec: str  # "" for a removal, which has no spec of its own


def parameters(entry: type) -> list[Parameter]:
    """The fields of an entry with type, default and the comment beside them."""
    defaults, meanings = entry(), _comments(entry)
    return [
        Parameter(name, _words(hint), text(getattr(defaults, name)) or '""', meanings.get(name, ""))
        for name, hint in fields(entry).items()
    ]


def _comments(entry: type) -> dict[str, str]:
    """The comments beside the fields of a class and of those it is made from; the class's own win."""
    ours = [one for one in reversed(entry.__mro__) if one.__module__.startswith("xai_bench.")]
    return {name: said for one in ours for name, said in COMMENT.findall(inspect.getsource(one))}


def protocols(entry: type) -> list[Protocol]:
    """The named protocols of an entry, each with what it changes and its full spec."""
    found: Mapping[str, Mapping[str, Any]] = getattr(entry, "protocols", {})
    name = entry.card.name  # type: ignore[attr-defined]
    return [
        Protocol(f"{name}@{protocol}", ", ".join(f"{key}={text(value)}" for key, value in values.items()), _spec(built))
        for protocol, values in found.items()
        for built in [entry(**values)]
    ]


def _spec(entry: object) -> str:
    return entry.spec() if isinstance(entry, Metric) else ""


def spec(entry: type) -> str:
    """The canonical string of an entry with its defaults; of a metric that needs a file, without it."""
    defaults = entry()
    if not isinstance(defaults, Metric):
        return describe(defaults)
    return "" if getattr(defaults, "matrix", None) == "" else defaults.spec()


def about(entry: type) -> list[str]:
    """Docstrings of the entry and of the classes between it and its room's base that say more than what they are."""
    between = [one for one in entry.__mro__ if one.__module__.startswith("xai_bench.") and one not in BASES]
    ours = [one for one in between if not one.__name__.startswith("_") and dataclasses.is_dataclass(one)]
    said = [(one, inspect.cleandoc(one.__doc__ or "")) for one in ours]
    return [found for one, found in said if found and (one is entry or "\n\n" in found)]


def table(entry: Any) -> dict[str, Any]:
    """The TOML table that builds this very instance; what is None is left out."""
    if isinstance(entry, TrainSet):
        values = {"split": entry.split, "n": entry.n, "seed": entry.seed, **dict(entry.options)}
        return {"name": entry.source} | {key: value for key, value in values.items() if value is not None}
    values = {key: _toml(getattr(entry, key)) for key in fields(type(entry))}
    return {"name": entry.card.name} | {key: value for key, value in values.items() if value is not None}


def _toml(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_toml(item) for item in value]
    return table(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def written_out(kind: str, entry: Any) -> str:
    """An entry of a suite with every parameter: of a removal, inside the metric that is told to use it."""
    if kind == "removals":
        return tomli_w.dumps({"metrics": [{"name": "pixel_flipping", "removal": table(entry)}]}).strip()
    return tomli_w.dumps({kind: [table(entry)]}).strip()
