"""Explainers around another explainer."""

from xai_bench.explainers.wrappers.absolute import Absolute
from xai_bench.explainers.wrappers.contrast import ClassGroup, Contrast
from xai_bench.explainers.wrappers.positive import Positive
from xai_bench.explainers.wrappers.resized import Resized
from xai_bench.explainers.wrappers.smooth import Smooth
from xai_bench.explainers.wrappers.times_input import TimesInput
from xai_bench.explainers.wrappers.wrapper import Changed, Wrapper

WRAPPERS = (Absolute, Positive, TimesInput, Resized, Smooth, ClassGroup, Contrast)

__all__ = [
    "WRAPPERS",
    "Absolute",
    "Changed",
    "ClassGroup",
    "Contrast",
    "Positive",
    "Resized",
    "Smooth",
    "TimesInput",
    "Wrapper",
]
