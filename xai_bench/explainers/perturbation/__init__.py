"""Explainers that alter the image and look at what the model says then: any removal, any division into units."""

from xai_bench.explainers.perturbation.extremal import Extremal
from xai_bench.explainers.perturbation.feature_ablation import FeatureAblation
from xai_bench.explainers.perturbation.kernel_shap import KernelSHAP
from xai_bench.explainers.perturbation.lime import LIME
from xai_bench.explainers.perturbation.occlusion import Occlusion
from xai_bench.explainers.perturbation.rise import RISE

PERTURBATION = (Occlusion, FeatureAblation, RISE, LIME, KernelSHAP, Extremal)

__all__ = ["LIME", "PERTURBATION", "RISE", "Extremal", "FeatureAblation", "KernelSHAP", "Occlusion"]
