"""What all explainers around another explainer share."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from xai_bench.adapters import VisionModel
from xai_bench.catalogue import label
from xai_bench.errors import InvalidValueError
from xai_bench.explainers.cam import GradCAM
from xai_bench.explainers.explainer import Explainer, called
from xai_bench.explainers.look import Seen, Sight
from xai_bench.seeding import Noise
from xai_bench.types import Batch, Images, Maps, Regions, Targets


@dataclass(frozen=True)
class Wrapper(Explainer):
    """An explainer around another, of whose kind it is."""

    asks_anew: ClassVar[bool] = True  # for maps of other images, classes or models, which stored ones are not

    explainer: Explainer = field(default_factory=GradCAM)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.asks_anew and not self.explainer.anew:
            raise InvalidValueError(
                f"explainer {self.card.name} asks for maps of other images, classes or models, and "
                f"{label(self.explainer)!r} holds stored maps, which know nothing of those"
            )

    @property
    def kind(self) -> Literal["post-hoc", "intrinsic", "control", "ceiling"]:
        return self.explainer.kind

    @property
    def anew(self) -> bool:
        return self.explainer.anew

    def unfit(self, model: VisionModel) -> str:
        return self.explainer.unfit(model)

    def lacks(self, batch: Batch) -> tuple[str, ...]:
        return self.explainer.lacks(batch)


@dataclass(frozen=True)
class Changed(Wrapper):
    """Another explainer's maps, changed; shares the pass where that one does."""

    asks_anew: ClassVar[bool] = False

    @abstractmethod
    def change(self, maps: Maps, images: Images) -> Maps:
        """What becomes of the maps."""

    def __call__(  # type: ignore[override]
        self, model: VisionModel, images: Images, targets: Targets, noise: Noise, regions: Regions | None
    ) -> Maps:
        return self.change(called(self.explainer, model, images, targets, noise, regions), images)

    def sights(self, model: VisionModel) -> frozenset[Sight]:
        return self.explainer.sights(model)

    def read(self, seen: Seen) -> Maps:
        return self.change(self.explainer.read(seen), seen.images)
