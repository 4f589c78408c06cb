"""CGC: whether hiding the most relevant pixels hurts a class and not its siblings in a group."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float64
from torch import Tensor

from xai_bench.engine import Case
from xai_bench.metrics.rfxg import SOURCE, Clean, Grouped, Probabilities, Reading, mean_over, turned, value_of
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class Cgc(Grouped):
    """Half the difference between the change of the siblings of a in its group and that of a, as an area over alpha.

    `reading="contrastive"` (ours): (mean over A without a of p_k - p0_k) - (p_a - p0_a), halved; high is good: hiding
    the evidence for a hurts a and not its siblings. `reading="as_coded"`: the published code adds the two changes, with
    a in A, so that nothing is contrasted; low is taken for good (inferred).
    Undefined for a map that is constant or not finite, where the group does not hold the target, and, contrastive,
    where it holds nothing else.

    Source: RFxG (arXiv:2511.13081), Class Group Contrastivity.
    """

    card: ClassVar = MetricCard(
        "cgc",
        source=SOURCE + "; contrastive reading ours",
        summary="half the change of the group's other classes minus that of the target, as an area",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=-1.0,
        high=1.0,
        family="faithfulness",
    )

    reading: Reading = "contrastive"

    def __post_init__(self) -> None:
        super().__post_init__()
        turned(self, self.reading)

    def classless(self, case: Case) -> tuple[str, ...]:
        members = self.members(case)
        held = members.gather(1, case.scene.targets[:, None])[:, 0].tolist()
        alone = (members.sum(1) < 2).tolist() if self.reading == "contrastive" else [False] * len(held)
        return tuple(
            "the group does not hold the target" if not inside else "the group holds only the target" if lone else ""
            for inside, lone in zip(held, alone, strict=True)
        )

    def change(self, case: Case, hidden: Probabilities, clean: Clean) -> Float64[Tensor, "B S"]:
        members, target = self.members(case), case.scene.targets
        own = value_of(hidden - clean, target)
        if self.reading == "as_coded":
            return (mean_over(hidden - clean, members) + own) / 2
        return (mean_over(hidden - clean, members.scatter(1, target[:, None], value=False)) - own) / 2
