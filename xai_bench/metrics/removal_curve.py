"""What the metrics that summarise a removal curve have in common."""

import math

import torch
from torch import Tensor

from xai_bench.engine import Curve
from xai_bench.errors import InvalidValueError
from xai_bench.types import Output


def area(curve: Curve) -> Tensor:
    """Trapezoid over [0, 1], both end points counted half, (B,) float64."""
    return torch.trapezoid(curve.values, curve.fractions, dim=1)


def output_bounds(output: Output) -> tuple[float, float]:
    """The lowest and highest value an output can have."""
    return (0.0, 1.0) if output == "probability" else (-math.inf, math.inf)


def check_steps(steps: int) -> None:
    """Refuse a curve without points."""
    if steps < 1:
        raise InvalidValueError(f"steps must be at least 1, got {steps}")
