"""Activations of a layer, weighted: class activation maps and their relatives."""

from xai_bench.explainers.cam.ablationcam import AblationCAM
from xai_bench.explainers.cam.cam import ClassActivationMap
from xai_bench.explainers.cam.eigencam import EigenCAM
from xai_bench.explainers.cam.eigengradcam import EigenGradCAM
from xai_bench.explainers.cam.gradcam import GradCAM
from xai_bench.explainers.cam.gradcam_plus_plus import GradCAMPlusPlus
from xai_bench.explainers.cam.guided_gradcam import GuidedGradCAM
from xai_bench.explainers.cam.hirescam import HiResCAM
from xai_bench.explainers.cam.layercam import LayerCAM
from xai_bench.explainers.cam.linear_approximation import LinearApproximation
from xai_bench.explainers.cam.normgrad import NormGrad
from xai_bench.explainers.cam.normgrad_selective import SelectiveNormGrad
from xai_bench.explainers.cam.scorecam import ScoreCAM
from xai_bench.explainers.cam.xgradcam import XGradCAM

CAM = (
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    XGradCAM,
    LayerCAM,
    EigenCAM,
    EigenGradCAM,
    ScoreCAM,
    AblationCAM,
    ClassActivationMap,
    NormGrad,
    SelectiveNormGrad,
    LinearApproximation,
    GuidedGradCAM,
)

__all__ = [
    "CAM",
    "AblationCAM",
    "ClassActivationMap",
    "EigenCAM",
    "EigenGradCAM",
    "GradCAM",
    "GradCAMPlusPlus",
    "GuidedGradCAM",
    "HiResCAM",
    "LayerCAM",
    "LinearApproximation",
    "NormGrad",
    "ScoreCAM",
    "SelectiveNormGrad",
    "XGradCAM",
]
