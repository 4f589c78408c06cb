"""Any function of a case as a metric."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from xai_bench.behaviour import behaviour
from xai_bench.engine import Case
from xai_bench.errors import InvalidValueError
from xai_bench.metrics.metric import Metric
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class FunctionMetric(Metric):
    """A function `case -> (B,) numbers`; its attribute `better` ("higher" or "lower") states the direction."""

    function: Callable[[Case], Tensor]

    @property
    def card(self) -> MetricCard:  # type: ignore[override]
        better: Any = getattr(self.function, "better", "unstated")
        name = getattr(self.function, "__name__", type(self.function).__name__)
        where = f"{getattr(self.function, '__module__', '?')}:{name}"
        return MetricCard(name, source=where, needs=frozenset({"maps"}), better=better)

    def spec(self, target: str = "predicted") -> str:
        return f"python={self.card.source} {behaviour(self.function)}; target={target}"

    def __call__(self, case: Case) -> Tensor:
        found: object = self.function(case)
        count = len(case.batch)
        if not isinstance(found, Tensor) or tuple(found.shape) != (count,):
            got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise InvalidValueError(
                f"metric {self.card.name!r} must return a tensor of shape ({count},), one number per image, got {got}"
            )
        return found
