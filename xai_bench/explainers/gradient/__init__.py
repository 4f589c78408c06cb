"""Gradients of the target's score with respect to the image, and what is made of them."""

from xai_bench.explainers.gradient.ig import IntegratedGradients

GRADIENT = (IntegratedGradients,)

__all__ = ["GRADIENT", "IntegratedGradients"]
