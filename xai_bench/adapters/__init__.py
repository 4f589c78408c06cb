"""Models: any timm classifier, ERSM models, any nn.Module by import path."""

from xai_bench.adapters.checkpoint import save_model
from xai_bench.adapters.layers import Layout, TargetLayer
from xai_bench.adapters.load import find_device, load_model
from xai_bench.adapters.model import Preprocessing, VisionModel, uncompiled

__all__ = [
    "Layout",
    "Preprocessing",
    "TargetLayer",
    "VisionModel",
    "find_device",
    "load_model",
    "save_model",
    "uncompiled",
]
