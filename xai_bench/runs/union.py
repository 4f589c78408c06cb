"""Two suites that went into one run folder as one suite."""

import tomllib
from collections.abc import Mapping
from typing import Any

import tomli_w

LISTS = ("models", "data", "metrics", "explainers", "notes")


def joined(before: str, now: str) -> str:
    """The union of two suites in TOML; where both say something of the same label, the later one counts."""
    old, new = _read(before), tomllib.loads(now)
    if not old:
        return now
    lists = {key: _union(_listed(old.get(key, [])), _listed(new.get(key, [])), key) for key in LISTS}
    for key, own in (("models", "explainers"), ("data", "metrics")):
        lists[key] = [_with_own(entry, _listed(old.get(key, [])), own, key) for entry in lists[key]]
    return tomli_w.dumps({**old, **new} | {key: value for key, value in lists.items() if value})


def _read(text: str) -> dict[str, Any]:
    """A suite.toml that somebody broke is written anew."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def _union(old: list[Any], new: list[Any], kind: str) -> list[Any]:
    found = {_label(entry, kind): entry for entry in old}
    return list((found | {_label(entry, kind): entry for entry in new}).values())


def _with_own(entry: Any, before: list[Any], own: str, kind: str) -> Any:
    """A model keeps the explainers, and data the metrics, that an earlier suite asked of it alone."""
    for old in before:
        both = isinstance(old, Mapping) and isinstance(entry, Mapping) and _label(old, kind) == _label(entry, kind)
        if both and own in old:
            return {**entry, own: _union(_listed(old[own]), _listed(entry.get(own, [])), own)}
    return entry


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _label(entry: Any, kind: str) -> str:
    """What an entry is called; without a label of its own, all that it says."""
    if not isinstance(entry, Mapping):
        return str(entry)
    if "label" in entry:
        return str(entry["label"])
    alone = kind == "models" or set(entry) == {"name"}
    return str(entry["name"]) if alone else repr(sorted(entry.items(), key=lambda item: item[0]))
