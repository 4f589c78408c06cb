"""Refusals that several of these explainers share."""

import math

from xai_bench.errors import InvalidValueError
from xai_bench.explainers.explainer import Explainer


def check_count(explainer: Explainer, name: str, value: int) -> None:
    """Refuse fewer than one step or sample."""
    if value < 1:
        raise InvalidValueError(f"{name} of {explainer.card.name} must be at least 1, got {value}")


def check_noise(explainer: Explainer, sigma: float) -> None:
    """Refuse a standard deviation that is negative or no number."""
    if not (math.isfinite(sigma) and sigma >= 0):
        raise InvalidValueError(
            f"sigma of {explainer.card.name} is a fraction of the range of values and must be at least 0, got {sigma!r}"
        )
