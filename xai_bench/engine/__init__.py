"""The only place that spends forward passes on altered inputs: ranking, curves, batching."""

from xai_bench.engine.case import Case, Curve, Scene
from xai_bench.engine.ranking import Order, Ties

__all__ = ["Case", "Curve", "Order", "Scene", "Ties"]
