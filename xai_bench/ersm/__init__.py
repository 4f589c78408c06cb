"""The energy-mask layer and its loss (ERSM, arXiv 2604.06893), and losses on attention (CAMAL): plain torch."""

from xai_bench.ersm.camal import Attended, AttentionLoss, CamalLoss, attention
from xai_bench.ersm.guidance import ATTENTION_LOSSES
from xai_bench.ersm.layer import EnergyMask, Masked
from xai_bench.ersm.model import ErsmModel

__all__ = [
    "ATTENTION_LOSSES",
    "Attended",
    "AttentionLoss",
    "CamalLoss",
    "EnergyMask",
    "ErsmModel",
    "Masked",
    "attention",
]
