"""ROAD: remove and debias, by the model's own output or its hits."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from torch import Tensor

from xai_bench.engine import Case, Curve, Order, Pixel, Ties, Trajectory, Unit, check_steps
from xai_bench.metrics.metric import CurveMetric
from xai_bench.metrics.removal_curve import SHARES, TENTHS, Reading, along
from xai_bench.removal import NoisyLinear, Removal
from xai_bench.types import MetricCard, Output

ODD = tuple(percent / 100 for percent in range(1, 100, 2))
GIVEN = NoisyLinear(units="normalised")  # noise is added to what the model takes


@dataclass(frozen=True)
class Road(CurveMetric):
    """Mean reading over the fractions removed, after the removed pixels have been imputed from their neighbours.

    `order`: `morf` removes the most relevant pixels first (lower is better), `lerf` the least relevant (higher is
    better), `combined` is (LeRF - MoRF) / 2 at each fraction (higher is better). `output="hit"` is 1 where the target
    is predicted; with `target="label"` its mean over images is the paper's accuracy. Ties are broken per image by a
    seeded draw, where the paper adds noise of 1e-4 to the map. Undefined for a map that is constant or not finite.

    Source: Rong et al. 2022, arXiv:2202.00449, section 4. `road@paper` is its accuracy, most relevant first, at .1 to
    .9. `road@quantus` reads hits at .01, .03, ..., .99 (Quantus 0.6.0; every image counts, not the first batch alone).
    `road@gradcam` is pytorch-grad-cam's ROADCombined on logits, whose percentile is the share kept; as it takes
    differences of confidence changes, the clean confidence cancels. docs/protocols/deletion.md has the agreement.
    """

    card: ClassVar[MetricCard] = MetricCard(
        "road",
        source="Rong et al. 2022, arXiv:2202.00449, section 4",
        summary="mean output over the fractions removed and imputed",
        needs=frozenset({"maps", "ranking"}),
        better="lower",
        low=-0.5,
        high=1.0,
        family="faithfulness",
        degree=1,
    )
    protocols: ClassVar = {
        "paper": {"output": "hit"},
        "quantus": {"removal": GIVEN, "output": "hit", "fractions": ODD, "ties": "first"},
        "gradcam": {"removal": GIVEN, "order": "combined", "output": "logit"},
    }
    facts: ClassVar = {"ends": "as listed", "area": "mean"}

    removal: Removal = field(default_factory=NoisyLinear)
    order: Literal["morf", "lerf", "combined"] = "morf"
    fractions: tuple[float | int, ...] = TENTHS
    output: Reading = "probability"
    ties: Ties = "random"
    unit: Unit = field(default_factory=Pixel)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.fractions, "fractions of road")
        if self.order != "morf":
            object.__setattr__(self, "card", replace(type(self).card, better="higher"))

    @property
    def fixed(self) -> Mapping[str, str]:
        return {**self.facts, "resampling": "none" if self.unit == Pixel() else "unit mean"}

    @property
    def bounds(self) -> tuple[float, float]:
        if self.output not in SHARES:
            return -math.inf, math.inf
        return (-0.5, 0.5) if self.order == "combined" else (0.0, 1.0)

    @property
    def reads(self) -> Output | None:
        return None if self.output == "hit" else self.output

    @property
    def questions(self) -> tuple[Trajectory, ...]:
        orders: tuple[Order, ...] = ("morf", "lerf") if self.order == "combined" else (self.order,)
        return tuple(Trajectory(self.removal, order, self.fractions, self.ties, self.unit) for order in orders)

    def curve(self, case: Case) -> Curve:
        first, *second = (along(case, question, self.output) for question in self.questions)
        return first._replace(values=(second[0].values - first.values) / 2) if second else first

    def __call__(self, case: Case) -> Tensor:
        return self.curve(case).values.mean(1)
