"""From episodes to what can be said of how well agents act."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from xai_bench.claims import Claim, judge
from xai_bench.studies.camal import judged
from xai_bench.studies.camal.judged import ABSTRACT, Measured, Numbers, seeds_by_images
from xai_bench.studies.camal.settings import CAMAL, CONTROL
from xai_bench.studies.camal_rl.settings import ReinforcementSettings

OUTCOMES = ("return", "reached")


@dataclass(frozen=True, eq=False)
class Acted(Measured):
    """What was measured of agents: of their networks as of any classifier, and how well they act."""

    settings: ReinforcementSettings
    episodes: pd.DataFrame  # seed, split, model, sample, return, reached

    def acted(self, split: str, model: str, outcome: str) -> Numbers:
        """An outcome of each episode, (seeds, episodes)."""
        here = (self.episodes["split"] == split) & (self.episodes["model"] == model)
        return seeds_by_images(self.episodes[here], outcome)


def claims(found: Acted) -> list[Claim]:
    """What the abstract says, of networks that classify what they see into moves, and of how well they act."""
    return [*_returns(found), *judged.claims(found)]


def _returns(found: Acted) -> Iterator[Claim]:
    measured = "return of an episode, CAMAL minus control"
    for split in found.settings.splits:
        gain = found.acted(split, CAMAL, "return") - found.acted(split, CONTROL, "return")
        where, worse = f"return, {split}", found.settings.worse
        yield Claim("Generalisation is comparable", ABSTRACT, measured, gain, above=-worse, where=where)
        yield Claim("Generalisation is improved", ABSTRACT, measured, gain, where=where)


def outcomes(found: Acted) -> pd.DataFrame:
    """A row per split and agent: mean return and share of arrivals, with the change against the control."""
    rows = []
    for split in found.settings.splits:
        for model in found.episodes["model"].unique():
            row: dict[str, object] = {"split": split, "model": model}
            for outcome in OUTCOMES:
                values, base = (found.acted(split, name, outcome) for name in (model, CONTROL))
                change = judge(Claim("", "", "", values - base))
                row |= {outcome: float(np.mean(values)), f"{outcome} change": change.mean}
                row |= {f"{outcome} low": change.low, f"{outcome} high": change.high}
                row |= {f"{outcome} per training": " ".join(f"{value:.3g}" for value in values.mean(1))}
            rows.append(row)
    return pd.DataFrame(rows)


def changes(table: pd.DataFrame) -> pd.DataFrame:
    """The table of outcomes as the figure reads it: a row per split, agent and outcome."""
    return pd.concat(
        [
            table[["split", "model"]].assign(
                metric=outcome,
                gain=table[f"{outcome} change"],
                low=table[f"{outcome} low"],
                high=table[f"{outcome} high"],
            )
            for outcome in OUTCOMES
        ],
        ignore_index=True,
    )
