"""Explainers: (model, images, targets) -> map."""

from xai_bench.catalogue import Catalogue
from xai_bench.engine import UNITS
from xai_bench.explainers.attention import ATTENTION
from xai_bench.explainers.cam import CAM
from xai_bench.explainers.controls import CONTROLS
from xai_bench.explainers.explainer import AnyExplainer, Explainer, OnePass, explain, lacks, read_from, seen_together
from xai_bench.explainers.given import GIVEN, StoredMaps, given
from xai_bench.explainers.gradient import GRADIENT
from xai_bench.explainers.intrinsic import INTRINSIC
from xai_bench.explainers.look import Sight
from xai_bench.explainers.perturbation import PERTURBATION
from xai_bench.explainers.wrappers import WRAPPERS
from xai_bench.removal import REMOVALS

ALIASES = {  # what papers and other libraries call them
    "integrated_gradients": "ig",
    "vanilla_gradient": "saliency",
    "gradient": "saliency",
    "vanilla": "saliency",
    "grad_cam": "gradcam",
    "gradcam++": "gradcam_plus_plus",
    "grad_cam++": "gradcam_plus_plus",
    "gradcampp": "gradcam_plus_plus",
    "gradcamplusplus": "gradcam_plus_plus",
    "guidedbackprop": "guided_backprop",
    "guided_backpropagation": "guided_backprop",
    "deconvolution": "deconv",
    "deconvnet": "deconv",
    "deep_lift": "deeplift",
    "shap": "kernel_shap",
    "kernelshap": "kernel_shap",
    "gradientshap": "gradient_shap",
    "expected_gradients": "gradient_shap",
    "attention_rollout": "rollout",
    "attention": "raw_attention",
    "chefer": "transformer_attribution",
    "generic_attention": "gradient_rollout",
    "extremal_perturbation": "extremal",
    "sliding_window": "occlusion",
    "input_times_gradient": "input_x_gradient",
    "gradientxinput": "input_x_gradient",
    "sobel": "edges",
    "uniform": "random",
    "center": "centre",
}

EXPLAINERS: Catalogue[Explainer] = Catalogue(
    "explainer",
    Explainer,  # type: ignore[type-abstract]
    (*GRADIENT, *CAM, *PERTURBATION, *ATTENTION, *INTRINSIC, *CONTROLS, *WRAPPERS, *GIVEN),
    nested=(REMOVALS, UNITS),
    schemes={"maps": StoredMaps, "python": given},
    aliases=ALIASES,
)

__all__ = [
    "EXPLAINERS",
    "AnyExplainer",
    "Explainer",
    "OnePass",
    "Sight",
    "explain",
    "lacks",
    "read_from",
    "seen_together",
]
