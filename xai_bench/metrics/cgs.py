"""CGS: whether hiding the most relevant pixels hurts a group of classes and not another."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float64
from torch import Tensor

from xai_bench.class_groups import Group, Members, check_group, fingerprint
from xai_bench.engine import Case
from xai_bench.metrics.reasons import combined, unless
from xai_bench.metrics.rfxg import SOURCE, Clean, Grouped, Probabilities, Reading, mean_over, ranked, turned
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class Cgs(Grouped):
    """Half the difference between the change of another group B and that of the group A, as an area over alpha.

    `reading="contrastive"` (ours): (mean over B of p_k - p0_k) - (mean over A), halved; high is good: hiding the
    evidence for A hurts A and not B. `reading="as_coded"`: the published code adds the two; low is taken for good
    (inferred). B is `against`, given like `group`, among the classes outside A: a number is so many of the highest, a
    file's group the one that holds the highest.
    Undefined for a map that is constant or not finite, where a group is empty, and where the two share a class.

    Source: RFxG (arXiv:2511.13081), Contrastive Group Score.
    """

    card: ClassVar = MetricCard(
        "cgs",
        source=SOURCE + "; contrastive reading ours",
        summary="half the change of another group's probabilities minus that of the group's, as an area",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=-1.0,
        high=1.0,
        family="faithfulness",
    )

    against: Group = 2
    reading: Reading = "contrastive"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_group(self.against, "against of cgs")
        turned(self, self.reading)

    @property
    def fixed(self) -> Mapping[str, str]:
        return {**super().fixed, "groups against": fingerprint(self.against)}

    def others(self, case: Case) -> Members:
        """B of each image."""
        return ranked(case).against(self.against, self.members(case))

    def classless(self, case: Case) -> tuple[str, ...]:
        members, others = self.members(case), self.others(case)
        against = unless(others.any(1), "no class to set the group against")
        apart = unless(~(members & others).any(1), "the two groups share a class")
        everything = (members | others).all(1) & (members.sum(1) == others.sum(1)) & (self.reading == "as_coded")
        silent = unless(~everything, "the two groups hold every class of the model")  # the changes add up to 0
        return combined(super().classless(case), against, apart, silent)

    def change(self, case: Case, hidden: Probabilities, clean: Clean) -> Float64[Tensor, "B S"]:
        own, other = (mean_over(hidden - clean, members) for members in (self.members(case), self.others(case)))
        return (other + own) / 2 if self.reading == "as_coded" else (other - own) / 2
