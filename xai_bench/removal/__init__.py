"""Removals: how a model sees an image of which only part remains."""

from xai_bench.catalogue import Catalogue
from xai_bench.removal.blur import Blur
from xai_bench.removal.fill import Fill
from xai_bench.removal.inpaint import Inpaint
from xai_bench.removal.layer_masking import LayerMasking
from xai_bench.removal.neighbour_noise import NeighbourNoise
from xai_bench.removal.noisy_linear import NoisyLinear
from xai_bench.removal.removal import PixelRemoval, Removal, State, puts_pixels
from xai_bench.removal.smooth_edges import SmoothEdges
from xai_bench.removal.token_dropping import TokenDropping
from xai_bench.removal.uniform_noise import UniformNoise

REMOVALS = Catalogue(
    "removal",
    Removal,  # type: ignore[type-abstract]
    (Fill, Blur, UniformNoise, NeighbourNoise, NoisyLinear, Inpaint, SmoothEdges, LayerMasking, TokenDropping),
)

__all__ = [
    "REMOVALS",
    "Blur",
    "Fill",
    "Inpaint",
    "LayerMasking",
    "NeighbourNoise",
    "NoisyLinear",
    "PixelRemoval",
    "Removal",
    "SmoothEdges",
    "State",
    "TokenDropping",
    "UniformNoise",
    "puts_pixels",
]
