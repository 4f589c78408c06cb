"""Where a transformer's tokens attend to."""

from xai_bench.explainers.explainer import Explainer

ATTENTION: tuple[type[Explainer], ...] = ()

__all__ = ["ATTENTION"]
