"""A map, as far as there is light."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.explainers.wrappers.wrapper import Changed
from xai_bench.types import ExplainerCard, Images, Maps


@dataclass(frozen=True)
class TimesInput(Changed):
    """Another explainer's map times the image's brightness, the mean of its three colours in [0, 1].

    For a gradient of each colour by itself, `input_x_gradient` is the product before the colours are summed.
    """

    card: ClassVar = ExplainerCard(
        "times_input",
        source="Smilkov et al. 2017, arXiv:1706.03825, section 3.1",
        summary="another map times the image's brightness",
        family="wrapper",
        passes="inner",
    )

    def change(self, maps: Maps, images: Images) -> Maps:
        return maps * images.mean(1)
