"""A suite: models x explainers x metrics x data in one TOML file. Read and checked here, without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import tomli_w

from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.toml import Table, located, located_name, read_toml

Entry = Any  # a name, a table with a name, or (from Python) the object itself
SCALARS: Mapping[str, type | tuple[type, ...]] = {
    "seed": int,
    "target": str,
    "device": str,
    "gallery": int,
    "precision": str,
    "compile": bool,
    "maps": (str, bool),
    "chunk": int,
}
CHOICES: Mapping[str, tuple[object, ...]] = {
    "target": ("predicted", "label"),
    "precision": ("fp32", "bf16"),
    "maps": ("auto", True, False),
}


@dataclass(frozen=True)
class Suite:
    """What is to be measured.

    A model's table may hold `explainers`, asked of this model only; a data set's table may hold `metrics`, which then
    stand instead of the suite's.
    """

    models: tuple[Entry, ...]
    data: tuple[Entry, ...]
    metrics: tuple[Entry, ...]
    explainers: tuple[Entry, ...] = ()
    seed: int = 0
    target: str = "predicted"  # or "label"
    device: str = "auto"
    gallery: int = 24  # images of each data set whose maps are kept for the report
    precision: str = "fp32"  # or "bf16": of the forward passes on altered images
    compile: bool = False  # the models through torch.compile
    maps: str | bool = "auto"  # keep every map, so that a metric added later costs only itself; auto: below 1 GB
    chunk: int = 0  # altered images per forward pass; 0: found for each model
    notes: tuple[str, ...] = ()  # sentences that a reader of the report must know

    def __post_init__(self) -> None:
        for name in ("models", "data", "metrics"):
            if not getattr(self, name):
                raise InvalidValueError(f"a suite needs at least one entry in {name!r}")
        for name, allowed in CHOICES.items():
            _check_choice(name, getattr(self, name), allowed)
        for name in ("gallery", "chunk"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise InvalidValueError(f"{name} of a suite must be a whole number from 0, got {value!r}")
        if type(self.seed) is not int:
            raise InvalidValueError(f"seed of a suite must be a whole number, got {self.seed!r}")

    @classmethod
    def read(cls, path: Path) -> "Suite":
        """The suite in a TOML file."""
        return cls.of(read_toml(path), path.parent)

    @classmethod
    def of(cls, table: Table, folder: Path = Path()) -> "Suite":
        """The suite in a parsed table; relative paths start at `folder`."""
        known = [item.name for item in fields(cls)]
        for key in table:
            if key not in known:
                raise UnknownNameError.of("key of a suite", key, known)
        values = {key: _scalar(key, table[key], kind) for key, kind in SCALARS.items() if key in table}
        lists: dict[str, Any] = {
            key: _entries(key, table[key], folder)
            for key in ("models", "data", "metrics", "explainers")
            if key in table
        }
        if "notes" in table:
            values["notes"] = _sentences(table["notes"])
        missing = [key for key in ("models", "data", "metrics") if key not in lists]
        if missing:
            raise InvalidValueError(f"a suite needs at least one entry in {missing[0]!r}")
        return cls(**lists, **values)

    def toml(self) -> str:
        """The suite as TOML, defaults written out."""
        table = {item.name: getattr(self, item.name) for item in fields(self)}
        scalars = {key: value for key, value in table.items() if not isinstance(value, tuple)}
        lists = {key: [_plain(entry) for entry in value] for key, value in table.items() if isinstance(value, tuple)}
        return tomli_w.dumps(scalars | {key: value for key, value in lists.items() if value})


def _sentences(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise InvalidValueError(f"notes of a suite must be a list of sentences, got {value!r}")
    return tuple(value)


WORDS = {int: "a whole number", str: "text", bool: "true or false"}


def _scalar(key: str, value: Any, kinds: type | tuple[type, ...]) -> Any:
    allowed = kinds if isinstance(kinds, tuple) else (kinds,)
    if type(value) not in allowed:
        raise InvalidValueError(
            f"{key} of a suite must be {' or '.join(map(WORDS.__getitem__, allowed))}, got {value!r}"
        )
    return value


def _check_choice(name: str, value: object, allowed: Sequence[object]) -> None:
    if any(value is option or (isinstance(value, str) and value == option) for option in allowed):
        return
    kind = "target rule" if name == "target" else f"{name} of a suite"
    raise UnknownNameError.of(kind, value, [str(option).lower() for option in allowed])


def _entries(key: str, value: Any, folder: Path) -> tuple[Entry, ...]:
    items = [value] if isinstance(value, str | Mapping) else value
    if not isinstance(items, list | tuple):
        raise InvalidValueError(f"{key} of a suite must be a list of names or tables, got {value!r}")
    for item in items:
        if not isinstance(item, str | Mapping):
            raise InvalidValueError(f"{key} of a suite must be names or tables, got {item!r}")
        if isinstance(item, Mapping) and not isinstance(item.get("name"), str):
            raise InvalidValueError(f"each table in {key!r} of a suite needs a name, got {dict(item)!r}")
    return tuple(located_name(item, folder) if isinstance(item, str) else located(item, folder) for item in items)


def _plain(entry: Any) -> Any:
    """Objects handed in from Python have no TOML; their text says what they were."""
    if isinstance(entry, Mapping):
        return {key: _plain(value) for key, value in entry.items() if value is not None}
    if isinstance(entry, list | tuple):
        return [_plain(item) for item in entry]
    return entry if isinstance(entry, str | int | float | bool) else repr(entry)
