"""What the reinforcement setting of the CAMAL study is about; the defaults are the embedded experiment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from xai_bench.catalogue import check_values
from xai_bench.errors import InvalidValueError
from xai_bench.ersm import ATTENTION_LOSSES, AttentionLoss, CamalLoss
from xai_bench.reinforcement.recipe import PpoRecipe
from xai_bench.reinforcement.states import States
from xai_bench.reinforcement.world import Rules
from xai_bench.studies.camal.settings import CAMAL, CONTROL, RECENT, known
from xai_bench.toml import read_toml
from xai_bench.types import Card

Table = Mapping[str, Any]
LOSSES: Table = {CAMAL: {"name": "camal", "weight": 0.1}, RECENT: {"name": "energy", "weight": 0.1}}


@dataclass(frozen=True)
class ReinforcementSettings:
    """The study, as a TOML file fills it; without one, the defaults.

    For each seed an agent learns from scratch with each loss on its attention, and the control without.
    """

    card: ClassVar[Card] = Card("study camal", source="arXiv 2605.08325; protocol ours")
    splits: ClassVar[tuple[str, ...]] = ("test", "shifted")

    rules: Rules = field(default_factory=Rules)
    recipe: PpoRecipe = field(default_factory=PpoRecipe)
    losses: Table = field(default_factory=lambda: dict(LOSSES))  # name -> table of an attention loss
    seeds: tuple[int, ...] = (0, 1, 2)
    explained: int = 96  # states of each split whose explanations are scored
    states: int = 400  # states of each split in which the likeliest move is compared with the best
    episodes: int = 200  # of each split
    margin: float = 0.02  # share of best moves that may be lost and still count as comparable
    worse: float = 0.05  # return that may be lost and still count as comparable
    better: float = 0.35  # relative gain of faithfulness that is claimed

    def __post_init__(self) -> None:
        check_values(self)
        self._check("seeds", "two or more different numbers", len(set(self.seeds)) == len(self.seeds) >= 2)
        for name in ("margin", "worse", "better"):
            self._check(name, "0 or more", getattr(self, name) >= 0)
        for name in ("explained", "states", "episodes"):
            self._check(name, "a whole number from 1", getattr(self, name) > 0)
        for needed in (CAMAL, RECENT):
            self._check("losses", f"a table with {CAMAL} and {RECENT}", needed in self.losses)
        self._check("losses", f"names other than {CONTROL}", CONTROL not in self.losses)
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
    def sweep(self) -> dict[str, AttentionLoss]:
        """No other weights: each would be one more agent to train."""
        return {}

    @property
    def compared(self) -> tuple[str, ...]:
        """Every agent, in the order of the tables."""
        return tuple(self.methods)

    def judged_on(self, split: str, n: int) -> States:
        """The states of a split, the same for every seed."""
        return States(rules=self.rules, split=split, n=n, label=split)

    @classmethod
    def read(cls, path: Path) -> "ReinforcementSettings":
        """The settings in a TOML file."""
        return cls.of(read_toml(path, "settings"))

    @classmethod
    def of(cls, table: Table) -> "ReinforcementSettings":
        """The settings in a parsed table; a table of losses stands in place of the usual ones."""
        given = dict(known(table, cls, "study camal"))
        for key, kind in (("rules", Rules), ("recipe", PpoRecipe)):
            if isinstance(given.get(key), Mapping):
                given[key] = kind(**known(given[key], kind, key))
        for key in ("margin", "worse", "better"):
            given |= {key: float(given[key])} if type(given.get(key)) is int else {}
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in given.items()
        }
        return cls(**values)
