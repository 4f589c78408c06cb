"""Evidence for, not against."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.explainers.wrappers.wrapper import Changed
from xai_bench.types import ExplainerCard, Images, Maps


@dataclass(frozen=True)
class Positive(Changed):
    """The positive part of another explainer's maps: evidence against the target counts as none.

    Constant where the map has no positive value.
    """

    card: ClassVar = ExplainerCard(
        "positive", source="standard", summary="positive part of another map", family="wrapper", passes="inner"
    )

    def change(self, maps: Maps, images: Images) -> Maps:  # noqa: ARG002
        return maps.clamp(min=0)
