"""What a model is trained on, as a parameter: by name and options, loaded only when it is needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xai_bench.catalogue import Catalogue, check_values, fields, text
from xai_bench.data import CATALOGUE as DATA
from xai_bench.data import Data, Preprocessing, load_data
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.types import Card

NOT_ASKED = {"preprocessing", "batch_size", "label"}  # keys of a data set that are no one's to give here


@dataclass(frozen=True)
class TrainSet:
    """A data set of the catalogue by its name, its split and its keys; or a data set itself, and nothing else.

    Its images have the size of those that are scored, unless its options hold a `size`. As text it is the name with
    every key that was given, or the name and the fingerprint of the data set itself.
    """

    card: ClassVar = Card("train", source="ours", summary="a data set that is loaded when it is needed")

    source: str | Data = "planted"
    split: str = "train"
    n: int | None = None  # None: all there are
    seed: int = 0
    options: tuple[tuple[str, Any], ...] = ()  # further keys of the data set, sorted, lists as tuples

    def __post_init__(self) -> None:
        check_values(self)
        if isinstance(self.source, Data):
            return
        kind = DATA[self.source]
        if self.split not in kind.splits:
            raise UnknownNameError.of(f"split of {self.source}", self.split, kind.splits)
        known = {*fields(kind), "size"} - NOT_ASKED
        for key, _ in self.options:
            if key not in known:
                raise UnknownNameError.of(f"key of dataset {self.source}", key, known)

    def __str__(self) -> str:
        if isinstance(self.source, Data):
            return f"{self.source.name}[{self.source.fingerprint}]"
        given = (("split", self.split), ("n", self.n), ("seed", self.seed), *self.options)
        return f"{self.source}({','.join(f'{key}={text(value)}' for key, value in given)})"

    @classmethod
    def of(cls, wanted: object) -> "TrainSet":
        """The one that a name, a table with a `name`, or a data set stands for."""
        match wanted:
            case TrainSet():
                return wanted
            case str() | Data():
                return cls(wanted)
            case {"name": str(name), **rest}:
                own: dict[str, Any] = {key: rest.pop(key) for key in ("split", "n", "seed") if key in rest}
                options = sorted((str(key), _frozen(value)) for key, value in rest.items())
                return cls(name, **own, options=tuple(options))
        raise InvalidValueError(f"train must be a name, a table with a name, or a data set, got {wanted!r}")

    def load(self, like: Preprocessing) -> Data:
        """The data set, its images made as `like` says unless it has a size of its own."""
        if isinstance(self.source, Data):
            return self.source
        options = dict(self.options)
        shape = None if "size" in options else like
        return load_data(self.source, split=self.split, n=self.n, seed=self.seed, preprocessing=shape, **options)


class _TrainSets(Catalogue[TrainSet]):
    """Lets tables of other catalogues hold a train set."""

    def build(self, wanted: object) -> TrainSet:
        return TrainSet.of(wanted)


TRAIN_SETS = _TrainSets("train set", TrainSet, ())


def _frozen(value: Any) -> Any:
    """As TOML gives it, but hashable."""
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, Mapping):
        raise InvalidValueError(f"a key of a train set must be a value or a list, got {dict(value)!r}")
    return value
