"""Deletion: how fast the output falls when the most relevant pixels are removed first."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.metrics.removal_curve import AreaUnderCurve
from xai_bench.removal import Fill
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class Deletion(AreaUnderCurve):
    """Area under the output as the most relevant pixels are removed first, over the fraction removed in [0, 1].

    Undefined for a map that is constant (it orders nothing) or not finite.
    `deletion@rise` is the published protocol: 224 steps, removed pixels become the model's mean colour, ties from the
    last pixel (Petsiuk, Das & Saenko 2018, section 4 and the authors' code).
    """

    card: ClassVar = MetricCard(
        "deletion",
        source="Petsiuk, Das & Saenko 2018, arXiv:1806.07421",
        summary="area under the output as the most relevant pixels are removed first",
        needs=frozenset({"maps", "ranking"}),
        better="lower",
        low=0.0,
        high=1.0,
        family="faithfulness",
        degree=1,
    )
    protocols: ClassVar = {"rise": {"removal": Fill("mean"), "steps": 224, "ties": "last"}}
    walked: ClassVar = "morf"
    facts: ClassVar = {**AreaUnderCurve.facts, "order": "morf"}
