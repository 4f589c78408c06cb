"""The only place that spends forward passes on altered inputs: ranking, curves, batching, precision."""

from xai_bench.engine.case import Case, Masks, Question, evaluate
from xai_bench.engine.engine import Engine, Precision
from xai_bench.engine.ranking import Order, Ties, stride
from xai_bench.engine.scene import Scene
from xai_bench.engine.trajectory import COUNTED, SHOWN, Curve, Steps, Trajectory, check_steps
from xai_bench.engine.units import UNITS, Cells, Partition, Patch, Pixel, Quickshift, Slic, Unit

__all__ = [
    "COUNTED",
    "SHOWN",
    "UNITS",
    "Case",
    "Cells",
    "Curve",
    "Engine",
    "Masks",
    "Order",
    "Partition",
    "Patch",
    "Pixel",
    "Precision",
    "Question",
    "Quickshift",
    "Scene",
    "Slic",
    "Steps",
    "Ties",
    "Trajectory",
    "Unit",
    "check_steps",
    "evaluate",
    "stride",
]
