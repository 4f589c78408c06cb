"""What a curve is made of, and what it is."""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from jaxtyping import Bool, Float64
from torch import Tensor

from xai_bench.engine.ranking import Order, Ties
from xai_bench.engine.units import Pixel, Unit
from xai_bench.errors import InvalidValueError
from xai_bench.removal import Removal
from xai_bench.types import Output

# equal steps with both ends; `each` (unit after unit), `adaptive` (where the curve bends) or COUNTED; fractions removed
Steps = int | str | tuple[float | int, ...]
# as libraries count: floor(f P) units at N equal fractions, steps of ceil(P / N) units, steps of N units
COUNTED = re.compile(r"[1-9]\d* (floor|ceil|units)")
SHOWN = " shown"  # after such steps: the units that remain are counted so, not those removed


def check_steps(steps: Steps, what: str = "steps") -> None:
    """Refuse a curve without points, and fractions that do not rise from 0 to 1."""
    if isinstance(steps, int) and steps < 1:
        raise InvalidValueError(f"{what} must be at least 1, got {steps}")
    if (
        isinstance(steps, str)
        and steps not in ("each", "adaptive")
        and not COUNTED.fullmatch(steps.removesuffix(SHOWN))
    ):
        raise InvalidValueError(
            f"{what} must be a number, fractions, 'each', 'adaptive', '20 floor', '20 ceil' or '9 units', got {steps!r}"
        )
    if isinstance(steps, tuple):
        rising = all(before < after for before, after in pairwise(steps))
        if not steps or not rising or not (steps[0] >= 0 and steps[-1] <= 1):
            raise InvalidValueError(f"{what} must be fractions in [0, 1], each above the one before, got {steps}")


@dataclass(frozen=True)
class Trajectory:
    """The altered images between the whole image and nothing: which remain visible, and at which steps.

    Curves of one trajectory share their forward passes, whatever output is read from them.
    """

    removal: Removal
    order: Order = "morf"
    steps: Steps = 28
    ties: Ties = "random"
    unit: Unit = field(default_factory=Pixel)
    guide: Output | None = None  # the output that adaptive steps look at
    most: int | None = None  # units; with steps "each", those after so many are not removed
    full: bool = False  # whether the logits of all classes are kept, for `Case.logits`


class Curve(NamedTuple):
    """A per-image curve over the share of the image that is removed (or, for insertion, shown)."""

    fractions: Float64[Tensor, "*B S"]  # (S,), or (B, S) where images have different numbers of units
    values: Float64[Tensor, "B S"]
    evaluated: Bool[Tensor, "B S"] | None = None  # points that are forward passes, the others between; None: all
    error: Float64[Tensor, " B"] | None = None  # estimate of the area's error; None where steps were not chosen

    def backwards(self) -> "Curve":
        """The same curve over the complement: what is removed becomes what is shown."""
        seen = None if self.evaluated is None else self.evaluated.flip(1)
        return Curve(1 - self.fractions.flip(-1), self.values.flip(1), seen, self.error)
