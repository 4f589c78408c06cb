"""CCS: whether hiding the most relevant pixels takes the target's lead over another class."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from xai_bench.engine import Case
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.rfxg import SOURCE, Clean, Probabilities, Rfxg, ranked, value_of
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class Ccs(Rfxg):
    """Area under p_a - p_b as the most relevant pixels are hidden: low where a map shows why it is a and not b.

    b is `against`: a class, or the clean image's second choice. Undefined for a map that is constant or not finite,
    where b is the target, and for a model of one class.

    Source: RFxG (arXiv:2511.13081), Contrastive Contrastivity Score, as its code computes it; which direction is good
    is inferred. The code's other removals are `Blur` with a sigma of 5 pixels and uniform noise.
    """

    card: ClassVar = MetricCard(
        "ccs",
        source=SOURCE,
        summary="area under p(a) - p(b) as the most relevant pixels are hidden",
        needs=frozenset({"maps", "ranking"}),
        better="lower",
        low=-1.0,
        high=1.0,
        family="faithfulness",
    )

    against: int | Literal["runner_up"] = "runner_up"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.against != "runner_up" and self.against < 0:
            raise InvalidValueError(f"against of ccs must be a class or 'runner_up', got {self.against}")

    def others(self, case: Case) -> Tensor:
        """B of each image, (B,)."""
        if self.against == "runner_up":
            return ranked(case).runner_up()
        if self.against >= case.scene.clean.shape[1]:
            last = case.scene.clean.shape[1] - 1
            raise InvalidValueError(f"against of ccs is class {self.against}, outside the classes 0 to {last}")
        return torch.full_like(case.scene.targets, self.against)

    def classless(self, case: Case) -> tuple[str, ...]:
        if case.scene.clean.shape[1] < 2:
            return ("the model has one class",) * len(case.batch)
        same = (self.others(case) == case.scene.targets).tolist()
        return tuple("the other class is the target" if equal else "" for equal in same)

    def change(self, case: Case, hidden: Probabilities, clean: Clean) -> Float64[Tensor, "B S"]:  # noqa: ARG002
        return value_of(hidden, case.scene.targets) - value_of(hidden, self.others(case))
