"""Removals: how a model sees an image of which only part remains."""

from xai_bench.catalogue import Catalogue
from xai_bench.removal.blur import Blur
from xai_bench.removal.fill import Fill
from xai_bench.removal.layer_masking import LayerMasking
from xai_bench.removal.noisy_linear import NoisyLinear
from xai_bench.removal.removal import PixelRemoval, Removal, State

REMOVALS = Catalogue("removal", Removal, (Fill, Blur, NoisyLinear, LayerMasking))  # type: ignore[type-abstract]

__all__ = ["REMOVALS", "Blur", "Fill", "LayerMasking", "NoisyLinear", "PixelRemoval", "Removal", "State"]
