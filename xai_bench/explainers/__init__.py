"""Explainers: (model, images, targets) -> map."""

from xai_bench.catalogue import Catalogue
from xai_bench.explainers.controls import Centre, Edges, Random, Region
from xai_bench.explainers.energy import Energy, EnergyField
from xai_bench.explainers.explainer import AnyExplainer, Explainer, explain, lacks
from xai_bench.explainers.gradcam import GradCAM
from xai_bench.explainers.ig import IntegratedGradients
from xai_bench.explainers.patch_contributions import PatchContributions
from xai_bench.explainers.selection import Selection

EXPLAINERS: Catalogue[Explainer] = Catalogue(
    "explainer",
    Explainer,  # type: ignore[type-abstract]
    (GradCAM, IntegratedGradients, Energy, EnergyField, PatchContributions, Selection, Random, Centre, Edges, Region),
)

__all__ = ["EXPLAINERS", "AnyExplainer", "Explainer", "explain", "lacks"]
