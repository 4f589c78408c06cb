"""Activations of a layer, weighted: class activation maps and their relatives."""

from xai_bench.explainers.cam.gradcam import GradCAM

CAM = (GradCAM,)

__all__ = ["CAM", "GradCAM"]
