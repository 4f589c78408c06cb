"""Gradients of the target's score with respect to the image, and what is made of them."""

from xai_bench.explainers.gradient.blur_ig import BlurIntegratedGradients
from xai_bench.explainers.gradient.deconv import Deconv
from xai_bench.explainers.gradient.deeplift import DeepLift
from xai_bench.explainers.gradient.gradient_shap import GradientShap
from xai_bench.explainers.gradient.guided_backprop import GuidedBackprop
from xai_bench.explainers.gradient.ig import IntegratedGradients
from xai_bench.explainers.gradient.input_x_gradient import InputXGradient
from xai_bench.explainers.gradient.lrp import LRP
from xai_bench.explainers.gradient.saliency import Saliency
from xai_bench.explainers.gradient.smoothgrad import SmoothGrad
from xai_bench.explainers.gradient.smoothgrad_squared import SmoothGradSquared
from xai_bench.explainers.gradient.vargrad import VarGrad

GRADIENT = (
    Saliency,
    InputXGradient,
    IntegratedGradients,
    GradientShap,
    SmoothGrad,
    SmoothGradSquared,
    VarGrad,
    BlurIntegratedGradients,
    GuidedBackprop,
    Deconv,
    DeepLift,
    LRP,
)

__all__ = [
    "GRADIENT",
    "LRP",
    "BlurIntegratedGradients",
    "Deconv",
    "DeepLift",
    "GradientShap",
    "GuidedBackprop",
    "InputXGradient",
    "IntegratedGradients",
    "Saliency",
    "SmoothGrad",
    "SmoothGradSquared",
    "VarGrad",
]
