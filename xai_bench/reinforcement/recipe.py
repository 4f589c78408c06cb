"""How a PPO agent is trained."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from xai_bench.catalogue import check_values
from xai_bench.errors import InvalidValueError
from xai_bench.types import Card


@dataclass(frozen=True)
class PpoRecipe:
    """Settings of proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347), as stable-baselines3 has them.

    Training ends with the first round of `worlds` x `rollout` frames that reaches `frames`. The rate falls from round
    to round along a line to 0. `explained` is the action whose attention CAMAL's term reads: the one taken, or the
    policy's likeliest.
    """

    card: ClassVar = Card("ppo", source="arXiv:1707.06347; stable-baselines3")

    frames: int = 40_000
    worlds: int = 16  # acted in side by side
    rollout: int = 128  # moves in each of them between two updates
    batch_size: int = 256
    passes: int = 4  # over the frames of a round
    lr: float = 1e-3
    discount: float = 0.5  # gamma; each move is paid for by itself, so that looking far ahead adds noise only
    entropy: float = 0.01  # weight of the policy's entropy
    channels: int = 32
    explained: Literal["taken", "likeliest"] = "likeliest"

    def __post_init__(self) -> None:
        check_values(self)
        for name in ("frames", "worlds", "rollout", "batch_size", "passes", "lr", "entropy", "channels"):
            if not getattr(self, name) > 0:
                raise InvalidValueError(f"{name} of ppo must be above 0, got {getattr(self, name)!r}")
        if not 0 <= self.discount < 1:
            raise InvalidValueError(f"discount of ppo must be in [0, 1), got {self.discount!r}")
        if self.worlds * self.rollout % self.batch_size:
            raise InvalidValueError(
                f"batch_size of ppo must divide the {self.worlds * self.rollout} frames of a round "
                f"({self.worlds} worlds x {self.rollout} moves), got {self.batch_size}"
            )
