"""Size without sign."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.explainers.wrappers.wrapper import Changed
from xai_bench.types import ExplainerCard, Images, Maps


@dataclass(frozen=True)
class Absolute(Changed):
    """The absolute value of another explainer's maps: evidence for and against the target count alike."""

    card: ClassVar = ExplainerCard(
        "absolute", source="standard", summary="size of another map, without its sign", family="wrapper", passes="inner"
    )

    def change(self, maps: Maps, images: Images) -> Maps:  # noqa: ARG002
        return maps.abs()
