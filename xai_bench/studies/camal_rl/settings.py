"""What the reinforcement setting of the CAMAL study is about; the defaults are the embedded experiment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from xai_bench.catalogue import check_values
from xai_bench.ersm import AttentionLoss
from xai_bench.reinforcement.recipe import PpoRecipe
from xai_bench.reinforcement.states import States
from xai_bench.reinforcement.world import Rules
from xai_bench.studies.camal.settings import CAMAL, CONTROL, RECENT, check, keywords, methods_of
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
        check(self, "seeds", "two or more different numbers", len(set(self.seeds)) == len(self.seeds) >= 2)
        for name in ("margin", "worse", "better"):
            check(self, name, "0 or more", getattr(self, name) >= 0)
        for name in ("explained", "states", "episodes"):
            check(self, name, "a whole number from 1", getattr(self, name) > 0)
        for needed in (CAMAL, RECENT):
            check(self, "losses", f"a table with {CAMAL} and {RECENT}", needed in self.losses)
        check(self, "losses", f"names other than {CONTROL}", CONTROL not in self.losses)
        assert self.methods

    @property
    def methods(self) -> dict[str, AttentionLoss]:
        """What is compared, by name: the control and every loss."""
        return methods_of(self.losses)

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
        """The settings in a parsed table.

        A table of losses stands in place of the usual ones; one of rules or of a recipe changes the keys that it names.
        """
        given = keywords(table, cls, "study camal")
        for key, kind in (("rules", Rules), ("recipe", PpoRecipe)):
            if isinstance(given.get(key), Mapping):
                given[key] = kind(**keywords(given[key], kind, key))
        return cls(**given)
