"""Maps that a model computes itself."""

from xai_bench.explainers.intrinsic.energy import Energy, EnergyField
from xai_bench.explainers.intrinsic.native_map import NativeMap
from xai_bench.explainers.intrinsic.patch_contributions import PatchContributions
from xai_bench.explainers.intrinsic.selection import Selection

INTRINSIC = (Energy, EnergyField, PatchContributions, Selection, NativeMap)

__all__ = ["INTRINSIC", "Energy", "EnergyField", "NativeMap", "PatchContributions", "Selection"]
