"""The energy-mask layer and its loss (ERSM, arXiv 2604.06893): plain torch."""

from xai_bench.ersm.layer import EnergyMask, Masked
from xai_bench.ersm.model import ErsmModel

__all__ = ["EnergyMask", "ErsmModel", "Masked"]
