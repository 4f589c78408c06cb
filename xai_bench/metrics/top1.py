"""Top-1: is the clean image classified correctly?"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from xai_bench.engine import Case
from xai_bench.metrics.metric import Metric
from xai_bench.types import MetricCard


@dataclass(frozen=True)
class Top1(Metric):
    """1 where the clean image is classified correctly, else 0: the accuracy that every other number stands on."""

    card: ClassVar = MetricCard(
        "top1",
        source="standard",
        summary="share of clean images classified correctly",
        needs=frozenset({"labels"}),
        better="higher",
        low=0.0,
        high=1.0,
        family="model",
    )

    def __call__(self, case: Case) -> Tensor:
        labels = case.batch.labels
        assert labels is not None
        return (case.scene.clean.argmax(1) == labels).double()
