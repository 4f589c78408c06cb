"""Insertion: how fast the output rises when the most relevant pixels are shown first."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.engine import Case, Curve
from xai_bench.metrics.removal_curve import AreaUnderCurve
from xai_bench.removal import Blur
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class Insertion(AreaUnderCurve):
    """Area under the output as the most relevant pixels are shown first, over the fraction shown in [0, 1].

    It is the least-relevant-first removal curve read backwards, from the same ranks.
    Undefined for a map that is constant (it orders nothing) or not finite.
    `insertion@rise` is the published protocol: 224 steps, from RISE's own blur, ties from the last pixel
    (Petsiuk, Das & Saenko 2018, section 4 and the authors' code).
    """

    card: ClassVar = MetricCard(
        "insertion",
        source="Petsiuk, Das & Saenko 2018, arXiv:1806.07421",
        summary="area under the output as the most relevant pixels are shown first",
        needs=frozenset({"maps", "ranking"}),
        better="higher",
        low=0.0,
        high=1.0,
        family="faithfulness",
        degree=1,
    )
    protocols: ClassVar = {"rise": {"removal": Blur(kernel="rise"), "steps": 224, "ties": "last"}}
    walked: ClassVar = "lerf"
    facts: ClassVar = {**AreaUnderCurve.facts, "order": "morf shown"}

    def curve(self, case: Case) -> Curve:
        return super().curve(case).backwards()
