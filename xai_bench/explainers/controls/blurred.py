"""Another explainer's map out of focus: does a metric ask for more than coarse blobs?"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from xai_bench.errors import InvalidValueError
from xai_bench.explainers.upsample import blurred
from xai_bench.explainers.wrappers.wrapper import Changed
from xai_bench.types import ExplainerCard, Images, Maps


@dataclass(frozen=True)
class Blurred(Changed):
    """Another explainer's map, convolved with a Gaussian.

    A metric by which it beats the map that it was made from rewards smoothness: ROAR and ROAD are known to. Undefined
    where that map is.
    """

    card: ClassVar = ExplainerCard(
        "blurred",
        source="control; arXiv:2304.13836 on why it is needed",
        summary="a blurred copy of another map",
        kind="control",
        family="control",
        passes="inner",
    )

    sigma: float = 0.05  # in sides, of the image's shorter one

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise InvalidValueError(
                f"sigma of explainer blurred is in sides of the image and must be above 0, got {self.sigma!r}"
            )

    @property
    def kind(self) -> Literal["control"]:
        """A control, whatever it blurs."""
        return "control"

    def change(self, maps: Maps, images: Images) -> Maps:  # noqa: ARG002
        return blurred(maps, self.sigma)
