"""What the CAMAL study is about: data, backbone, losses, weights; the defaults are the embedded experiment."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from xai_bench.catalogue import check_values
from xai_bench.data import CATALOGUE as DATA
from xai_bench.data import Data, load_data
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.ersm import ATTENTION_LOSSES, AttentionLoss, CamalLoss
from xai_bench.toml import located, read_toml
from xai_bench.training import Recipe
from xai_bench.training.camal import regionless
from xai_bench.training.demo import FACTORY, LOCAL, PLAIN, SIZE
from xai_bench.types import Card

Table = Mapping[str, Any]
CONTROL, CAMAL, RECENT = "control", "camal", "energy"  # the training without a term, the one with it, a recent work's
# Each weight is of the order at which the term and the cross-entropy of the plain model weigh about the same.
LOSSES: Table = {
    CAMAL: {"name": "camal"},
    "camal, inside only": {"name": "camal", "outside": 0},
    "camal, outside only": {"name": "camal", "inside": 0},
    "camal, squared": {"name": "camal", "form": "squared"},
    "camal, bce": {"name": "camal", "form": "bce", "weight": 0.3},
    RECENT: {"name": "energy"},
    "l1": {"name": "l1", "weight": 3},
    "ppce": {"name": "ppce", "weight": 0.5},
    "rrr": {"name": "rrr", "weight": 0.003},
}


@runtime_checkable
class Comparison(Protocol):
    """What is compared on what: all that measures, claims and tables read of a study's settings, whatever learns."""

    @property
    def seeds(self) -> tuple[int, ...]: ...
    @property
    def splits(self) -> tuple[str, ...]: ...
    @property
    def explained(self) -> int: ...
    @property
    def margin(self) -> float: ...
    @property
    def better(self) -> float: ...
    @property
    def methods(self) -> dict[str, AttentionLoss]: ...
    @property
    def sweep(self) -> dict[str, AttentionLoss]: ...
    @property
    def compared(self) -> tuple[str, ...]: ...
    def judged_on(self, split: str, n: int) -> Data: ...


@dataclass(frozen=True)
class CamalSettings:
    """The study, as a TOML file fills it; `xai-bench study camal` without one takes the defaults.

    Each training starts from a plain model, which is trained here unless it is `pretrained` or has a `checkpoint`, and
    goes on with a loss on attention; the control goes on without.
    """

    card: ClassVar[Card] = Card("study camal", source="arXiv 2605.08325; protocol ours")

    data: Table = field(default_factory=lambda: {"name": "planted", "size": SIZE})  # keys of load_data
    train_split: str = "train"
    splits: tuple[str, ...] = ("test", "shifted")  # that are judged
    plain: int = 4000  # training images of the plain model; 0: all there are, as below
    guided: int = 1600  # training images of the guided ones
    test: int = 1000  # images of each split for accuracy
    explained: int = 100  # images of each split whose explanations are scored
    seeds: tuple[int, ...] = (0, 1, 2)
    backbone: str = "test_resnet"  # a timm model
    factory: Table = field(default_factory=lambda: {**FACTORY, **LOCAL})  # further keywords of timm.create_model
    pretrained: bool = False
    checkpoint: str | None = None
    layer: str = ""  # whose attention is taught; "": the last with a spatial output
    plain_recipe: Recipe = PLAIN
    recipe: Recipe = replace(PLAIN, epochs=2, lr=3e-3)  # noqa: RUF009 - frozen
    losses: Table = field(default_factory=lambda: dict(LOSSES))  # name -> table of an attention loss
    weights: tuple[float, ...] = (0.1, 0.3, 3.0, 10.0)  # of the loss `camal` beside its own, for the sweep
    margin: float = 0.02  # accuracy that may be lost and still count as comparable
    better: float = 0.35  # relative gain of faithfulness that is claimed

    def __post_init__(self) -> None:
        check_values(self)
        self._check("seeds", "two or more different numbers", len(set(self.seeds)) == len(self.seeds) >= 2)
        self._check("splits", "one or more names", bool(self.splits))
        self._check("weights", "above 0", all(weight > 0 for weight in self.weights))
        for name in ("margin", "better"):
            self._check(name, "0 or more", getattr(self, name) >= 0)
        for name in ("plain", "guided", "test", "explained"):
            self._check(name, "a whole number from 0", getattr(self, name) >= 0)
        self._check("data", "a table with a name", isinstance(self.data.get("name"), str))
        for needed in (CAMAL, RECENT):
            self._check("losses", f"a table with {CAMAL} and {RECENT}", needed in self.losses)
        self._check("losses", f"names other than {CONTROL} and plain", not {CONTROL, "plain"} & self.losses.keys())
        kind = DATA[self.data["name"]]
        for split in (self.train_split, *self.splits):
            if split not in kind.splits:
                raise UnknownNameError.of(f"split of {self.data['name']}", split, kind.splits)
        if "regions" not in kind.can_know:
            raise regionless(f"data {self.data['name']!r}")
        assert self.methods

    def _check(self, name: str, allowed: str, kept: bool) -> None:  # noqa: FBT001 - reads as a sentence
        if not kept:
            raise InvalidValueError(f"{name} of study camal must be {allowed}, got {getattr(self, name)!r}")

    @property
    def methods(self) -> dict[str, AttentionLoss]:
        """What is compared, by name: the control and every loss."""
        losses = {name: ATTENTION_LOSSES.build(table) for name, table in self.losses.items()}
        return {CONTROL: CamalLoss(0.0), **losses}

    @property
    def compared(self) -> tuple[str, ...]:
        """Every model that is scored in full, in the order of the tables."""
        return ("plain", *self.methods)

    @property
    def sweep(self) -> dict[str, AttentionLoss]:
        """CAMAL's loss with other weights."""
        own = self.methods[CAMAL]
        return {f"camal, {weight:g}": replace(own, weight=weight) for weight in self.weights}

    def learnt_from(self, seed: int, n: int) -> Data:
        """The training images; generated ones are drawn anew for each seed."""
        return self._loaded(self.train_split, n, seed)

    def judged_on(self, split: str, n: int) -> Data:
        """The images of a split, the same for every seed."""
        return self._loaded(split, n, 0)

    def _loaded(self, split: str, n: int | None, seed: int) -> Data:
        data = load_data(**self.data, split=split, n=n or None, seed=seed, label=split)
        if "regions" not in data.knows:
            raise regionless(f"data {data.name!r}")
        return data

    @classmethod
    def read(cls, path: Path) -> "CamalSettings":
        """The settings in a TOML file; relative paths start at its folder."""
        return cls.of(located(read_toml(path, "settings"), path.parent, "study"))

    @classmethod
    def of(cls, table: Table) -> "CamalSettings":
        """The settings in a parsed table; a table of losses stands in place of the usual ones."""
        return cls(**{key: _value(key, value) for key, value in known(table, cls, "study camal").items()})


def known(table: Table, kind: type, what: str) -> Table:
    """The table, whose keys are fields of `kind`; UnknownNameError where one is not."""
    names = [item.name for item in fields(kind)]
    for key in table:
        if key not in names:
            raise UnknownNameError.of(f"key of {what}", key, names)
    return table


def _value(key: str, value: Any) -> Any:
    """TOML's lists are tuples here, its tables recipes where a recipe belongs, and its 1 may stand for 1.0."""
    if key in ("recipe", "plain_recipe") and isinstance(value, Mapping):
        return Recipe(**known(value, Recipe, key))
    if key in ("margin", "better") and type(value) is int:
        return float(value)
    if isinstance(value, list):
        return tuple(float(item) if type(item) is int and key == "weights" else item for item in value)
    return value
