"""The world as an environment of Gymnasium, whose renderer gives the mask of what matters."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from xai_bench.reinforcement.world import ACTIONS, Place, Rules, World, eight_bit

Observation = dict[str, NDArray[np.generic]]


class Reach(gymnasium.Env[Observation, np.int64]):
    """Walk to the target: each move earns how much nearer it came, in sides of the world, and arriving earns 1.

    `image` is what the agent sees, (3, S, S) uint8; `mask` (S, S) is where the target is drawn, for the losses and
    measures that read it: no policy may. Worlds are drawn from the seed of `reset`, or are the one of its option
    `world`. An episode ends at the target and is cut off after `rules.horizon` moves.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012 - as Gymnasium has it

    def __init__(self, rules: Rules | None = None, *, shifted: bool = False, render_mode: str | None = None) -> None:
        self.rules, self.shifted, self.render_mode = rules or Rules(), shifted, render_mode
        side = self.rules.size
        self.observation_space = spaces.Dict(  # type: ignore[assignment]  # parts of two types
            {"image": spaces.Box(0, 255, (3, side, side), np.uint8), "mask": spaces.MultiBinary((side, side))}
        )
        self.action_space = spaces.Discrete(len(ACTIONS))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**62))
        self.world = World(self.rules, (options or {}).get("world", drawn), shifted=self.shifted)
        self.place: Place = self.world.start
        self.moves = 0
        return self._seen(), self._info()

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        before = self.world.distance(self.place)
        self.place = self.world.moved(self.place, int(action))
        self.moves += 1
        nearer = (before - self.world.distance(self.place)) / self.rules.size
        there = self.world.reached(self.place)
        return self._seen(), nearer + there, there, not there and self.moves >= self.rules.horizon, self._info()

    def render(self) -> NDArray[np.uint8]:
        """The view as a picture, (S, S, 3)."""
        return eight_bit(self.world.view(self.place).pixels).transpose(1, 2, 0)

    def _seen(self) -> Observation:
        view = self.world.view(self.place)
        return {"image": eight_bit(view.pixels), "mask": view.target.astype(np.int8)}

    def _info(self) -> dict[str, Any]:
        return {"distance": self.world.distance(self.place), "background": self.world.background}
