"""What the output does as parts of the image are hidden."""

from xai_bench.explainers.explainer import Explainer

PERTURBATION: tuple[type[Explainer], ...] = ()

__all__ = ["PERTURBATION"]
