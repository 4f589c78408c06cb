"""Activations of a layer, weighted: class activation maps and their relatives."""

from xai_bench.explainers.cam.gradcam import GradCAM
from xai_bench.explainers.cam.guided_gradcam import GuidedGradCAM

CAM = (GradCAM, GuidedGradCAM)

__all__ = ["CAM", "GradCAM", "GuidedGradCAM"]
