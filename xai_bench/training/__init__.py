"""Training of small models: a plain classifier, and ERSM on its frozen backbone."""

from xai_bench.training.demo import DemoModels, demo_models
from xai_bench.training.ersm import CollapseWarning, train_ersm
from xai_bench.training.loop import Recipe
from xai_bench.training.plain import train_plain

__all__ = ["CollapseWarning", "DemoModels", "Recipe", "demo_models", "train_ersm", "train_plain"]
