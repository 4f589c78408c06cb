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

EXPLAINERS: Catalogue[Explainer] = Catalogue(
    "explainer",
    Explainer,  # type: ignore[type-abstract]
    (*GRADIENT, *CAM, *PERTURBATION, *ATTENTION, *INTRINSIC, *CONTROLS, *WRAPPERS, *GIVEN),
    nested=(REMOVALS, UNITS),
    schemes={"maps": StoredMaps, "python": given},
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
