"""Insertion: how fast the output rises when the most relevant pixels are shown first."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.engine import COUNTED, SHOWN, Case, Curve, Steps
from xai_bench.metrics.deletion import CHEFER, GREY_127, TWENTIETHS, UNEVEN
from xai_bench.metrics.removal_curve import AreaUnderCurve, complement
from xai_bench.removal import Blur, Fill
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class Insertion(AreaUnderCurve):
    """Area under the output as the most relevant pixels are shown first, over the fraction shown in [0, 1].

    It is the least-relevant-first removal curve read backwards, from the same ranks; a list of `steps` holds fractions
    shown. Undefined for a map that is constant (it orders nothing) or not finite.
    `insertion@rise` is the published protocol: 224 steps, from RISE's own blur, ties from the last pixel
    (Petsiuk, Das & Saenko 2018, section 4 and the authors' code; steps as in `deletion@rise`). The other protocols are
    what the libraries that they are named after do by default (docs/protocols/deletion.md); those of pnpxai and Chefer
    speak of removing the least relevant first, and InterpretDL's never shows nothing.
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
    protocols: ClassVar = {
        "rise": {"removal": Blur(kernel="rise"), "steps": 224, "ties": "last"},
        "torchcam": {"removal": Fill("mean"), "steps": "20 ceil", "output": "logit", "ties": "first"},
        "xplique": {"removal": Fill("mean"), "steps": "10 floor", "output": "logit", "ties": "last"},
        "pnpxai": {"removal": Fill("mean"), "steps": complement(UNEVEN), "ties": "last", "area": "mean"},
        "interpretdl": {"removal": Fill(GREY_127), "steps": (*TWENTIETHS, 1), "area": "mean"},
        "openvino": {"removal": Fill("black"), "steps": "30 floor", "ties": "first"},
        "chefer": {**CHEFER, "removal": Fill("black"), "ties": "last"},
    }
    walked: ClassVar = "lerf"
    facts: ClassVar = {"order": "morf shown"}

    @property
    def removed(self) -> Steps:
        if isinstance(self.steps, tuple):
            return complement(self.steps)
        counted = isinstance(self.steps, str) and COUNTED.fullmatch(self.steps)
        return f"{self.steps}{SHOWN}" if counted else self.steps

    def curve(self, case: Case) -> Curve:
        return super().curve(case).backwards()
