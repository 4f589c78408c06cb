"""Maps of any fineness at one resolution."""

from dataclasses import dataclass
from typing import ClassVar

from torch.nn.functional import adaptive_avg_pool2d

from xai_bench.errors import InvalidValueError
from xai_bench.explainers.upsample import blurred, upsample
from xai_bench.explainers.wrappers.wrapper import Changed
from xai_bench.types import ExplainerCard, Images, Maps


@dataclass(frozen=True)
class Resized(Changed):
    """Another explainer's map, averaged over `side` x `side` cells, blurred, and upsampled bilinearly.

    With it a fine and a coarse map have one resolution: what removal metrics say of two explainers depends on theirs.
    `sigma` of the Gaussian is in sides of the image, its shorter one; 0 blurs nothing.
    """

    card: ClassVar = ExplainerCard(
        "resized",
        source="ours; Rong et al. 2022, arXiv:2202.00449, on resolution",
        summary="another map at a common resolution",
        family="wrapper",
        passes="inner",
    )

    side: int = 14
    sigma: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.side <= 4096 or not 0 <= self.sigma <= 1:
            raise InvalidValueError(
                f"resized needs a side of 1 to 4096 cells and sigma of 0 to 1, got side={self.side}, "
                f"sigma={self.sigma:g}"
            )

    def change(self, maps: Maps, images: Images) -> Maps:
        cells = adaptive_avg_pool2d(maps[:, None], self.side)[:, 0]
        return blurred(upsample(cells, images), self.sigma)
