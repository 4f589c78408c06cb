"""Deletion: how fast the output falls when the most relevant pixels are removed first."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.metrics.removal_curve import TENTHS, AreaUnderCurve
from xai_bench.removal import Fill
from xai_bench.types import MetricCard

UNEVEN = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1)  # pnpxai jumps over 0.9
# InterpretDL removes or shows what lies above a percentile, at last all but the lowest value: one pixel of 224 x 224
TWENTIETHS = (*(step / 20 for step in range(1, 20)), 0.99999)
GREY_127 = (127 / 255,) * 3
LATEC = {"steps": "50 units", "ties": "first", "ends": "neither", "area": "trapezoid_per_point"}
CHEFER = {"steps": TENTHS, "output": "hit", "ties": "first", "area": "mean"}


@dataclass(frozen=True)
class Deletion(AreaUnderCurve):
    """Area under the output as the most relevant pixels are removed first, over the fraction removed in [0, 1].

    Undefined for a map that is constant (it orders nothing) or not finite.
    `deletion@rise` is the published protocol: 224 steps, removed pixels become the model's mean colour, ties from the
    last pixel (Petsiuk, Das & Saenko 2018, section 4 and the authors' code). The code removes 224 pixels a step, in
    ceil(H W / 224) steps: the same at 224 x 224, elsewhere another number of steps. The other protocols are what the
    libraries that they are named after do by default; docs/protocols/deletion.md holds the two side by side.
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
    protocols: ClassVar = {
        "rise": {"removal": Fill("mean"), "steps": 224, "ties": "last"},
        "torchcam": {"removal": Fill("mean"), "steps": "20 ceil", "output": "logit", "ties": "first"},
        "xplique": {"removal": Fill("mean"), "steps": "10 floor", "output": "logit", "ties": "last"},
        "pnpxai": {"removal": Fill("mean"), "steps": UNEVEN, "ties": "first", "area": "mean"},
        "latec": {**LATEC, "removal": Fill("mean")},
        "interpretdl": {"removal": Fill(GREY_127), "steps": (0, *TWENTIETHS), "area": "mean"},
        "openvino": {"removal": Fill("black"), "steps": "30 floor", "ties": "first"},
        "chefer": {**CHEFER, "removal": Fill("black")},
    }
    walked: ClassVar = "morf"
    facts: ClassVar = {"order": "morf"}
