"""Another removal behind a mask with soft edges."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.catalogue import check_values
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.removal.blur import reflected
from xai_bench.removal.fill import Fill
from xai_bench.removal.removal import PixelRemoval, Removal, State
from xai_bench.seeding import Noise
from xai_bench.types import Card, Images, Keep


@dataclass(frozen=True)
class SmoothEdges(PixelRemoval):
    """The mask is blurred with a Gaussian before `removal` uses it, so that its outline does not look like an edge.

    As in the paper removed pixels leak: within half a kernel of the mask's edge they shine through, and visible ones
    fade. A mask scattered over single pixels becomes a half-transparent veil. The mask is reflected at the border (the
    edge pixel not repeated), which is ours, as the paper does not say. A removal that is not of pixels or knows only
    hidden and visible raises UnsupportedError.

    Source: Balasubramanian & Feizi, ICCV 2023 (arXiv 2211.14646), "grey with blurred edges": `removal` a fill with
    the mean colour (their grey), kernel 5, sigma 1, the defaults.
    """

    card: ClassVar[Card] = Card(
        name="smooth_edges",
        source="Balasubramanian & Feizi 2023 (2211.14646), grey with blurred edges",
        summary="another removal, whose mask is blurred first",
    )

    removal: Removal = Fill()
    kernel: int = 5  # pixels, odd
    sigma: float = 1.0  # pixels

    def __post_init__(self) -> None:
        check_values(self)
        if not (isinstance(self.removal, PixelRemoval) and self.removal.soft):
            raise UnsupportedError(
                "removal smooth_edges wraps removals of pixels that take soft masks, such as fill or blur, "
                f"got {self.removal.card.name!r}"
            )
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise InvalidValueError(f"kernel of removal smooth_edges must be odd and positive, got {self.kernel!r}")
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise InvalidValueError(f"sigma of removal smooth_edges must be above 0 pixels, got {self.sigma!r}")

    def prepare(self, model: VisionModel, images: Images, noise: Noise) -> Tensor:
        """What the wrapped removal prepares."""
        return self._inner.prepare(model, images, noise)

    def alter(self, images: Images, keep: Keep, state: State) -> Images:
        return self._inner.alter(images, self.softened(keep), state)

    def softened(self, keep: Keep) -> Keep:
        """The blurred mask."""
        return reflected(keep[:, None], self.sigma, self.kernel // 2)[:, 0]

    @property
    def _inner(self) -> PixelRemoval:
        assert isinstance(self.removal, PixelRemoval)
        return self.removal
