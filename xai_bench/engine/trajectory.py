"""What a curve is made of, and what it is."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from jaxtyping import Bool, Float64
from torch import Tensor

from xai_bench.engine.ranking import Order, Ties
from xai_bench.removal import Removal
from xai_bench.types import Output

Steps = int | Literal["adaptive"]


@dataclass(frozen=True)
class Trajectory:
    """The altered images between the whole image and nothing: which remain visible, and at which steps.

    Curves of one trajectory share their forward passes, whatever output is read from them.
    """

    removal: Removal
    order: Order = "morf"
    steps: Steps = 28  # equal steps, both ends evaluated; adaptive: where the curve of `guide` bends
    ties: Ties = "random"
    patch: int = 1  # pixels; the side of a cell that is removed as a whole
    guide: Output | None = None  # the output that adaptive steps look at


class Curve(NamedTuple):
    """A per-image curve over the share of the image that is removed (or, for insertion, shown)."""

    fractions: Float64[Tensor, " S"]
    values: Float64[Tensor, "B S"]
    evaluated: Bool[Tensor, "B S"] | None = None  # points that are forward passes, the others between; None: all
    error: Float64[Tensor, " B"] | None = None  # estimate of the area's error; None where steps were not chosen

    def backwards(self) -> "Curve":
        """The same curve over the complement: what is removed becomes what is shown."""
        seen = None if self.evaluated is None else self.evaluated.flip(1)
        return Curve(1 - self.fractions.flip(0), self.values.flip(1), seen, self.error)
