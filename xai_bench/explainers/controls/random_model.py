"""The map of a model that has learnt nothing: what of a map is the architecture and the image alone?"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from xai_bench.adapters import VisionModel
from xai_bench.errors import InvalidValueError
from xai_bench.explainers.asked import Asked, plain
from xai_bench.explainers.controls.renewed import renewed
from xai_bench.explainers.explainer import called
from xai_bench.explainers.wrappers.contrast import refuse_question
from xai_bench.explainers.wrappers.wrapper import Wrapper
from xai_bench.keys import key
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Maps, Regions, Targets


@dataclass(frozen=True)
class RandomModel(Wrapper):
    """Another explainer's map of the same architecture with new first weights, the same for all images of a run.

    The end point of the model-randomisation check: an explanation that scores or looks like this one does not speak of
    what the model learnt. Every layer draws its weights anew by its own `reset_parameters` (torch's first weights,
    whatever the architecture's authors drew; running means are 0 and variances 1 again). Weights that no layer draws,
    such as timm's class tokens, position embeddings and layer scales, are shuffled within each tensor. The model itself
    is not touched; a copy is made for each batch. Undefined where the explainer's own map of it is.
    """

    card: ClassVar = ExplainerCard(
        "random_model",
        source="control; Adebayo et al. 2018, arXiv:1810.03292, section 3.2: independent randomisation of all layers",
        summary="another explainer's map of a re-initialised model",
        kind="control",
        family="control",
        passes="inner",
        exempt={"flip": "weights are drawn, and are not symmetrical"},
    )

    draw: int = 0  # another number: other weights

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.draw < 0:
            raise InvalidValueError(f"draw of explainer random_model must be a whole number from 0, got {self.draw}")
        refuse_question(self, "put the question around it, or the random model is asked another one")

    @property
    def kind(self) -> Literal["control"]:
        """A control, whatever explains."""
        return "control"

    def __call__(  # type: ignore[override]
        self, model: VisionModel, images: Images, targets: Targets, noise: Noise, regions: Regions | None
    ) -> Maps:
        other = renewed(plain(model), key(noise.seed, "random_model", self.draw))
        asked = Asked(other, model.questions) if isinstance(model, Asked) else other
        maps: Maps = called(self.explainer, asked, images, targets, noise, regions)
        return maps
