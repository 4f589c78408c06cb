"""Other models that carry their own explanation: additive patches (HiT) and a selector with a predictor (COMET)."""

from xai_bench.intrinsic.comet import CometLoss, CometModel, Selected, Selector
from xai_bench.intrinsic.hindered import ARCHITECTURES, Contributions, HinderedTransformer

__all__ = [
    "ARCHITECTURES",
    "CometLoss",
    "CometModel",
    "Contributions",
    "HinderedTransformer",
    "Selected",
    "Selector",
]
