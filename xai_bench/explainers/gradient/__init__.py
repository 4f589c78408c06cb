"""Gradients of the target's score with respect to the image, and what is made of them."""

from xai_bench.explainers.gradient.deconv import Deconv
from xai_bench.explainers.gradient.deeplift import DeepLift
from xai_bench.explainers.gradient.guided_backprop import GuidedBackprop
from xai_bench.explainers.gradient.ig import IntegratedGradients
from xai_bench.explainers.gradient.lrp import LRP

GRADIENT = (IntegratedGradients, GuidedBackprop, Deconv, DeepLift, LRP)

__all__ = ["GRADIENT", "LRP", "Deconv", "DeepLift", "GuidedBackprop", "IntegratedGradients"]
