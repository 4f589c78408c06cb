"""The only place that spends forward passes on altered inputs: ranking, curves, batching, precision."""

from xai_bench.engine.case import Case, evaluate
from xai_bench.engine.engine import Engine, Precision
from xai_bench.engine.ranking import Order, Ties
from xai_bench.engine.scene import Scene
from xai_bench.engine.trajectory import Curve, Steps, Trajectory

__all__ = ["Case", "Curve", "Engine", "Order", "Precision", "Scene", "Steps", "Ties", "Trajectory", "evaluate"]
