"""A training suite: which models are trained, on what, by which recipe and from which seeds. One TOML file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from xai_bench.data import CATALOGUE as DATA
from xai_bench.data import Data, Preprocessing
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.toml import Table, located, read_toml
from xai_bench.training.kinds import CATALOGUE as KINDS
from xai_bench.training.recipe import Recipe, recipe_of
from xai_bench.training.train_set import TrainSet
from xai_bench.training.trainer import Trainer

KEYS = ("models", "data", "held_out", "recipe", "seeds", "images", "controls", "device", "workers")
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
FIRST_SPLITS = ("train", "trainval")  # of a data set that names no split
# How pictures become a model's input where nothing is augmented: the shorter side to 1.14 times the size, then the
# centre (arXiv 2604.06893, from the authors' code).
PUBLISHED: Table = {"size": (224, 224), "mode": "crop", "crop_pct": 1 / 1.14, "interpolation": "bilinear"}


class Entry(NamedTuple):
    """One model of a suite."""

    trainer: Trainer
    recipe: Recipe

    @property
    def label(self) -> str:
        """What files and tables call it."""
        return self.trainer.label


@dataclass(frozen=True)
class TrainSuite:
    """What is to be trained: every model once for every seed, each after the one whose backbone it takes."""

    models: tuple[Entry, ...]
    data: TrainSet
    held_out: tuple[TrainSet, ...] = ()  # of which the accuracy is told
    images: Preprocessing | None = None  # None: as a generated data set draws them or a loaded one has them, and as
    # published for pictures
    seeds: tuple[int, ...] = (0,)
    device: str = "auto"
    workers: int | None = None  # processes that read images; None: as many as pay

    def __post_init__(self) -> None:
        if not self.models:
            raise InvalidValueError("a train suite needs at least one table in 'models'")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or not all(type(one) is int for one in self.seeds):
            raise InvalidValueError(f"seeds of a train suite must be different whole numbers, got {list(self.seeds)}")
        if self.workers is not None and (type(self.workers) is not int or self.workers < 0):
            raise InvalidValueError(f"workers of a train suite must be a whole number from 0, got {self.workers!r}")
        labels = [entry.label for entry in self.models]
        for label in labels:
            if not LABEL.fullmatch(label):
                raise InvalidValueError(f"label of a model names its file: letters, digits and . _ + -, got {label!r}")
            if labels.count(label) > 1:
                raise InvalidValueError(f"{labels.count(label)} models are called {label!r}; give each a label")
        object.__setattr__(self, "models", _ordered(self.models))
        if self.images is None:
            object.__setattr__(self, "images", _images(None, None, self.data))

    @classmethod
    def read(cls, path: Path) -> "TrainSuite":
        """The suite in a TOML file."""
        return cls.of(read_toml(path, "train suite"), path.parent)

    @classmethod
    def of(cls, table: Table, folder: Path = Path()) -> "TrainSuite":
        """The suite in a parsed table; relative paths start at `folder`."""
        for key in table:
            if key not in KEYS:
                raise UnknownNameError.of("key of a train suite", key, KEYS)
        if "data" not in table:
            raise InvalidValueError("a train suite needs a table 'data'")
        data, size = _data(table["data"], folder)
        common = _table("recipe", table.get("recipe", {}))
        models = [_entry(one, common, folder) for one in _listed("models", table.get("models", []))]
        if _truth("controls", table.get("controls", False)):
            models = list(chain.from_iterable(map(_with_controls, models)))
        return cls(
            models=tuple(models),
            data=data,
            held_out=tuple(_held_out(one, folder) for one in _listed("held_out", table.get("held_out", []))),
            images=_images(table.get("images"), size, data),
            seeds=tuple(_listed("seeds", table.get("seeds", [0]))),
            device=table.get("device", "auto"),
            workers=table.get("workers"),
        )

    def load(self, wanted: TrainSet) -> Data:
        """One of its data sets, every image as the models take it."""
        return wanted.load(self.images or DATA[str(self.data.source)].preprocessing)


def _ordered(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Each after the one whose backbone it takes, and of that one's architecture."""
    done: dict[str, Entry] = {}
    waiting = list(entries)
    while waiting:
        labels = [entry.label for entry in waiting]
        ready = [entry for entry in waiting if entry.trainer.backbone_of not in labels]
        if not ready:
            raise InvalidValueError(f"the backbones of models {', '.join(map(repr, labels))} wait for each other")
        for entry in ready:
            done[entry.label] = _inheriting(entry, done)
        waiting = [entry for entry in waiting if entry.label not in done]
    return tuple(done.values())


def _inheriting(entry: Entry, done: Mapping[str, Entry]) -> Entry:
    trainer = entry.trainer
    if not trainer.backbone_of:
        return entry
    if trainer.backbone_of not in done:
        raise UnknownNameError.of(f"model whose backbone {entry.label!r} takes", trainer.backbone_of, done)
    giver = done[trainer.backbone_of].trainer
    own = {name: getattr(giver, name) for name in ("backbone", "factory", "mean", "std")}
    for name, value in own.items():
        default = type(trainer).__dataclass_fields__[name].default
        given = getattr(trainer, name)
        if given and given not in (default, value):
            raise InvalidValueError(
                f"{name} of model {entry.label!r} is that of {trainer.backbone_of!r}, {value!r}, got {given!r}; "
                "leave it out"
            )
    return entry._replace(trainer=replace(trainer, **own))


def _entry(given: Any, common: Table, folder: Path) -> Entry:
    if isinstance(given, Entry):
        return given
    table = dict(located(_table("models", given), folder, "train suite"))
    own = _table("recipe", table.pop("recipe", {}))
    if not isinstance(table.get("kind"), str):
        raise InvalidValueError(
            f"each table in 'models' of a train suite needs a kind ({', '.join(KINDS)}), got {given}"
        )
    kind = table.pop("kind")
    table.setdefault("label", kind)
    if "name" in table:
        raise UnknownNameError.of(f"key of trainer {kind}", "name", ("label", "backbone"))
    trainer = KINDS.build({"name": kind, **table})
    return Entry(trainer, recipe_of(trainer.preset, common, own))


def _with_controls(entry: Entry) -> list[Entry]:
    """The model, and what must be trained beside it for its claims to mean something."""
    others = entry.trainer.controls().items()
    return [entry, *(entry._replace(trainer=replace(one, label=f"{entry.label}-{name}")) for name, one in others)]


def _data(given: Any, folder: Path) -> tuple[TrainSet, Any]:
    """The data set, and the `size` that its table may hold instead of `images`."""
    if not isinstance(given, Mapping):
        given = {"name": given} if isinstance(given, str) else given
        return TrainSet.of(given if isinstance(given, TrainSet | Data) else _with_split(given, FIRST_SPLITS)), None
    table = dict(located(given, folder, "train suite"))
    size = table.pop("size", None)
    return TrainSet.of(_with_split(table, FIRST_SPLITS)), size


def _held_out(given: Any, folder: Path) -> TrainSet:
    if isinstance(given, TrainSet | Data):
        return TrainSet.of(given)
    table = (
        {"name": given} if isinstance(given, str) else dict(located(_table("held_out", given), folder, "train suite"))
    )
    if "size" in table:
        raise InvalidValueError("size of held-out data is that of the data the models are trained on; leave it out")
    return TrainSet.of(_with_split(located(table, folder, "train suite"), ("test", "val")))


def _with_split(table: Any, usual: Sequence[str]) -> Any:
    """The table with the split that is meant where it names none."""
    if not isinstance(table, Mapping) or "split" in table or not isinstance(table.get("name"), str):
        return table
    splits = DATA[table["name"]].splits
    return {**table, "split": next((split for split in usual if split in splits), splits[0])}


def _images(given: Any, size: Any, data: TrainSet) -> Preprocessing | None:
    if isinstance(data.source, Data):
        return data.source.preprocessing
    table = dict(_table("images", given or {}))
    if size is not None:
        if "size" in table:
            raise InvalidValueError(f"give size in data or in images, not both, got {size!r} and {table['size']!r}")
        table["size"] = size
    for key in table:
        if key not in PUBLISHED:
            raise UnknownNameError.of("key of images", key, PUBLISHED)
    if "size" in table:
        table["size"] = _size(table["size"])
    if DATA[data.source].generated:
        return Preprocessing(**table) if table else None
    return Preprocessing(**{**PUBLISHED, **table})


def _size(given: Any) -> tuple[int, int]:
    match given:
        case int() if not isinstance(given, bool):
            return given, given
        case [int(height), int(width)]:
            return height, width
    raise InvalidValueError(f"size of images must be a whole number or [height, width], got {given!r}")


def _table(key: str, value: Any) -> Table:
    if not isinstance(value, Mapping):
        raise InvalidValueError(f"{key} of a train suite must be a table, got {value!r}")
    return value


def _listed(key: str, value: Any) -> list[Any]:
    if isinstance(value, Mapping | str | TrainSet | Data):
        return [value]
    if not isinstance(value, list | tuple):
        raise InvalidValueError(f"{key} of a train suite must be a list, got {value!r}")
    return list(value)


def _truth(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidValueError(f"{key} of a train suite must be true or false, got {value!r}")
    return value
