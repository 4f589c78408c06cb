"""What the CAMAL study is about: data, backbone, losses, weights; the defaults are the embedded experiment."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, get_args, runtime_checkable

from xai_bench.catalogue import check_values
from xai_bench.catalogue import fields as hints_of
from xai_bench.data import CATALOGUE as DATA
from xai_bench.data import Data, load_data
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.ersm import ATTENTION_LOSSES, AttentionLoss, CamalLoss
from xai_bench.studies.given import check_data
from xai_bench.toml import located, read_toml
from xai_bench.training import Recipe
from xai_bench.training.camal import regionless
from xai_bench.training.demo import FACTORY, LOCAL, PLAIN, SIZE
from xai_bench.training.recipe import recipe_of
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
GIVEN_BY = {"split": "train_split and splits", "n": "plain, guided, test and explained", "seed": "seeds"}
GIVEN_BY |= {"label": "splits"}
PRESET = "scratch"  # what tables of recipes change, with these keys:
CHANGES: Mapping[str, Table] = {"plain_recipe": {}, "recipe": {"epochs": 2, "lr": 3e-3}}


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
    recipe: Recipe = recipe_of(PRESET, CHANGES["recipe"])  # noqa: RUF009 - frozen
    losses: Table = field(default_factory=lambda: dict(LOSSES))  # name -> table of an attention loss
    weights: tuple[float, ...] = (0.1, 0.3, 3.0, 10.0)  # of the loss `camal` beside its own, for the sweep
    margin: float = 0.02  # accuracy that may be lost and still count as comparable
    better: float = 0.35  # relative gain of faithfulness that is claimed

    def __post_init__(self) -> None:
        check_values(self)
        check(self, "seeds", "two or more different numbers", len(set(self.seeds)) == len(self.seeds) >= 2)
        check(self, "splits", "one or more names", bool(self.splits))
        check(self, "weights", "finite and above 0", all(0 < weight < math.inf for weight in self.weights))
        for name in ("margin", "better"):
            check(self, name, "0 or more", getattr(self, name) >= 0)
        for name in ("plain", "guided", "test", "explained"):
            check(self, name, "a whole number from 0", getattr(self, name) >= 0)
        check_data(self.data, "camal", GIVEN_BY)
        check(self, "splits", "different names", len(set(self.splits)) == len(self.splits))
        for needed in (CAMAL, RECENT):
            check(self, "losses", f"a table with {CAMAL} and {RECENT}", needed in self.losses)
        check(self, "losses", f"names other than {CONTROL} and plain", not {CONTROL, "plain"} & self.losses.keys())
        kind = DATA[self.data["name"]]
        for split in (self.train_split, *self.splits):
            if split not in kind.splits:
                raise UnknownNameError.of(f"split of {self.data['name']}", split, kind.splits)
        if "regions" not in kind.can_know:
            raise regionless(f"data {self.data['name']!r}")
        assert self.methods

    @property
    def methods(self) -> dict[str, AttentionLoss]:
        """What is compared, by name: the control and every loss."""
        return methods_of(self.losses)

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
        """The settings in a parsed table.

        A table of losses stands in place of the usual ones; one of a recipe changes the keys that it names, of the
        study's own or of the `preset` that it names.
        """
        given = keywords(table, cls, "study camal")
        return cls(**given | {name: _recipe(name, given[name]) for name in CHANGES if name in given})


def _recipe(name: str, given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    return recipe_of(PRESET, {} if "preset" in given else CHANGES[name], given)


def keywords(table: Table, kind: type, what: str) -> dict[str, Any]:
    """A parsed table as keywords of the dataclass `kind`; UnknownNameError where a key is no field of it.

    TOML's lists are tuples here, and its 1 may stand for 1.0.
    """
    hints = hints_of(kind)
    for key in table:
        if key not in hints:
            raise UnknownNameError.of(f"key of {what}", key, hints)
    return {key: _value(value, hints[key]) for key, value in table.items()}


def _value(value: Any, hint: Any) -> Any:
    if isinstance(value, list):
        return tuple(_value(item, get_args(hint)[0]) if get_args(hint) else item for item in value)
    return float(value) if type(value) is int and hint is float else value


def check(settings: object, name: str, allowed: str, kept: bool) -> None:  # noqa: FBT001 - reads as a sentence
    """InvalidValueError that names a field of either setting of the study and what it may be, unless that is kept."""
    if not kept:
        raise InvalidValueError(f"{name} of study camal must be {allowed}, got {getattr(settings, name)!r}")


def methods_of(losses: Table) -> dict[str, AttentionLoss]:
    """What is compared, by name: the control and every loss."""
    return {CONTROL: CamalLoss(0.0), **{name: ATTENTION_LOSSES.build(table) for name, table in losses.items()}}
