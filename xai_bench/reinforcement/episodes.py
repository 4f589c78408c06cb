"""How well a policy acts: episodes in worlds that it was not trained in."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from xai_bench.adapters import VisionModel
from xai_bench.reinforcement.reach import Reach
from xai_bench.reinforcement.world import ACTIONS, Rules, eight_bit
from xai_bench.seeding import Noise

Choices = Callable[[Sequence[Reach]], Sequence[int]]  # an action for each


class Episodes(NamedTuple):
    """One number per episode."""

    returns: NDArray[np.float64]  # sum of rewards, not discounted
    reached: NDArray[np.bool_]


def play(choose: Choices, rules: Rules, worlds: Sequence[int], *, shifted: bool = False) -> Episodes:
    """One episode in each of these worlds."""
    places = [Reach(rules, shifted=shifted) for _ in worlds]
    for place, world in zip(places, worlds, strict=True):
        place.reset(options={"world": world})
    returns, reached = np.zeros(len(places)), np.zeros(len(places), dtype=bool)
    going = list(range(len(places)))
    while going:
        actions = choose([places[one] for one in going])
        still = []
        for one, action in zip(going, actions, strict=True):
            _, reward, there, cut, _ = places[one].step(np.int64(action))
            returns[one] += reward
            reached[one] = there
            if not (there or cut):
                still.append(one)
        going = still
    return Episodes(returns, reached)


def greedy(model: VisionModel) -> Choices:
    """The policy's likeliest action."""

    def choose(places: Sequence[Reach]) -> list[int]:
        seen = np.stack([eight_bit(place.world.view(place.place).pixels) for place in places])
        with torch.inference_mode(), model.ready():
            logits = model((torch.from_numpy(seen) / 255).to(model.device))
        return logits.argmax(1).tolist()

    return choose


def at_random(seed: int) -> Choices:
    """Any action, as likely as each other."""

    def choose(places: Sequence[Reach]) -> list[int]:
        names = tuple(f"{place.world.number}/{place.moves}" for place in places)
        return (Noise(seed, "walk", names).uniform() * len(ACTIONS)).long().tolist()

    return choose


def best(places: Sequence[Reach]) -> list[int]:
    """The move that comes nearest to the target: who knows the rules."""
    return [place.world.best(place.place) for place in places]
