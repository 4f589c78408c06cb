"""The agents of the study: each trained once and kept, and how well each acts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from xai_bench.adapters import VisionModel, load_model
from xai_bench.adapters.checkpoint import save_model
from xai_bench.ersm import AttentionLoss
from xai_bench.reinforcement.agent import CENTRE, SPREAD, train_agent
from xai_bench.reinforcement.episodes import Choices, at_random, best, greedy, play
from xai_bench.reinforcement.network import FEATURES, PolicyNetwork
from xai_bench.reinforcement.world import ACTIONS
from xai_bench.seeding import digest, key
from xai_bench.studies.camal_rl.settings import ReinforcementSettings

VERSION = 1  # bump when training itself changes, so that agents in a folder are not taken for new ones
CHANCE, ORACLE = "random moves", "best moves"


@dataclass(frozen=True)
class Agents:
    """One seed's agents, kept as `folder/NAME-seedS-DIGEST.safetensors`."""

    settings: ReinforcementSettings
    seed: int
    folder: Path
    device: str = "cpu"
    progress: bool = True

    def trained(self) -> list[VisionModel]:
        """Every agent's network as a classifier of what it sees into what it does."""
        return [self._trained(name, loss) for name, loss in self.settings.methods.items()]

    def _trained(self, name: str, loss: AttentionLoss) -> VisionModel:
        rules, recipe = self.settings.rules, self.settings.recipe
        guide = loss if loss.weight else None
        mark = digest(VERSION, rules, rules.drawn.fingerprint, recipe, guide, self.seed)
        path = self.folder / f"{name.replace(', ', '-').replace(' ', '-')}-seed{self.seed}-{mark}.safetensors"
        if not path.is_file():
            title = f"{name}, seed {self.seed}"
            network = train_agent(
                rules, recipe, guide, seed=self.seed, device=self.device, title=title, progress=self.progress
            )
            save_model(self._seen(network, name), path, recipe=self._factory())
        return self._seen("torch:" + FACTORY, name, checkpoint=path, **self._keywords())

    def _seen(self, network: str | PolicyNetwork, name: str, **keywords: Any) -> VisionModel:
        return load_model(
            network,
            mean=(CENTRE,) * 3,
            std=(SPREAD,) * 3,
            input_size=self.settings.rules.size,
            layer=FEATURES,
            label=name,
            device=self.device,
            **keywords,
        )

    def _factory(self) -> dict[str, Any]:
        return {"name": "torch:" + FACTORY, **self._keywords()}

    def _keywords(self) -> dict[str, int]:
        return {"actions": len(ACTIONS), "channels": self.settings.recipe.channels}


FACTORY = "xai_bench.reinforcement.network:policy_network"


def episodes(settings: ReinforcementSettings, split: str, choose: Choices) -> pd.DataFrame:
    """Return and arrival of each episode, in worlds that are the same for every agent."""
    worlds = [key("episode", split, number) for number in range(settings.episodes)]
    found = play(choose, settings.rules, worlds, shifted=split == "shifted")
    return pd.DataFrame(
        {"sample": range(settings.episodes), "return": found.returns, "reached": found.reached.astype(float)}
    )


def players(models: list[VisionModel], seed: int) -> Iterator[tuple[str, str, Choices]]:
    """Name, fingerprint and choices of each agent, of chance and of who knows the rules."""
    for model in models:
        yield model.label, model.fingerprint, greedy(model)
    yield CHANCE, str(seed), at_random(seed)
    yield ORACLE, "", best
