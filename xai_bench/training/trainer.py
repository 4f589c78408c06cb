"""Trainer: one kind of model that can be trained; its fields are the model's parameters, its objective the loss."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from xai_bench.adapters import VisionModel, load_model
from xai_bench.adapters.checkpoint import fit_weights, read_weights
from xai_bench.adapters.model import Colour
from xai_bench.catalogue import check_values
from xai_bench.errors import InvalidValueError
from xai_bench.training.lesson import Objective
from xai_bench.types import Card


class Start(NamedTuple):
    """What a fresh model is made for and from."""

    classes: int
    size: tuple[int, int]  # (H, W) of the images
    backbone: Mapping[str, Tensor] | None = None  # weights of the trained model that `backbone_of` names


@dataclass(frozen=True, kw_only=True)
class Trainer(ABC):
    """How one kind of model is built, and by which loss it learns.

    A kind is a subclass in `kinds.TRAINERS`: its `card` (needs: `labels`, and `regions` where its loss reads them), the
    `scheme` under which `load_model` builds it, its own fields, `objective`, and what differs of the rest. Whatever is
    wrong with its parameters is refused on construction, before anything is trained: extend `__post_init__`.
    """

    card: ClassVar[Card]
    scheme: ClassVar[str] = "timm"
    preset: ClassVar[str] = "scratch"  # the recipe where a suite names none

    label: str = ""  # what files and tables call the model
    backbone: str = "test_resnet"  # a timm name
    pretrained: bool = False  # with timm's weights
    checkpoint: str | Path | None = None  # the backbone's weights; its classifier is left out
    backbone_of: str = ""  # label of a model of the same suite, on whose trained backbone this one is built
    factory: Mapping[str, Any] = field(default_factory=dict, hash=False)  # of timm.create_model: output_stride ...
    mean: Colour | None = None  # None: as timm says of the backbone
    std: Colour | None = None

    def __post_init__(self) -> None:
        check_values(self)
        given = {"pretrained": self.pretrained, "checkpoint": self.checkpoint, "backbone_of": self.backbone_of}
        sources = [name for name, value in given.items() if value]
        if len(sources) > 1:
            raise InvalidValueError(
                f"{' and '.join(sources)} of model {self.label!r} all say where its backbone's weights come from; "
                "give one"
            )

    # --- what a kind says of itself

    @abstractmethod
    def objective(self, module: nn.Module) -> Objective:
        """The loss, as a function of the module and a lesson; what it needs to know of the module is found here, once.

        Its figures are scalars: `loss` with gradient, and what is worth watching (`accuracy`, `keep` ...).
        """

    def architecture(self) -> Mapping[str, Any]:
        """The keywords of `load_model`, besides `factory`, that build the module: numbers, words, lists, tables."""
        return {}

    def trunk(self, module: nn.Module) -> nn.Module:
        """The part with the timm backbone's weights, under timm's names; the module itself where it is a timm model."""
        found = getattr(module, "backbone", module)
        return found if isinstance(found, nn.Module) else module

    def features(self, module: nn.Module) -> Callable[[Tensor], Tensor] | None:  # noqa: ARG002
        """The part that does not learn, from normalised images to what the objective then finds in `lesson.inputs`.

        None where all of it learns. It runs without gradients: once per image where nothing changes its answer (no
        augmentation, and the trunk in eval mode after `ready`), and else at every step.
        """
        return None

    def ready(self, module: nn.Module) -> None:
        """Put the module into the mode it is trained in, with gradients required of the weights that learn."""
        module.train()

    def controls(self) -> Mapping[str, "Trainer"]:
        """What must be trained beside it for its claims to mean something, by what is added to its label."""
        return {}

    def warning(self, figures: Mapping[str, float]) -> Warning | None:  # noqa: ARG002
        """What the means of the last epoch show to have gone wrong."""
        return None

    # --- the same for all kinds

    def keywords(self, classes: int) -> dict[str, Any]:
        """The keywords of `load_model` that build this architecture; they travel with the saved weights."""
        own = {"name": f"{self.scheme}:{self.backbone}", "num_classes": classes}
        return {**own, **self.factory, **self.architecture()}

    def build(self, start: Start) -> VisionModel:
        """The model with its first weights, on the CPU; new ones are drawn from torch's random state."""
        model = load_model(
            **self.keywords(start.classes),
            pretrained=self.pretrained,
            mean=self.mean,
            std=self.std,
            input_size=start.size,
            label=self.label or self.card.name,
            device="cpu",
        )
        if start.backbone is not None:
            _graft(self.trunk(model.module), start.backbone, Path(self.backbone_of), model.name)
        elif self.checkpoint is not None:
            _graft(self.trunk(model.module), read_weights(Path(self.checkpoint)), Path(self.checkpoint), model.name)
        return model


def _graft(trunk: nn.Module, weights: Mapping[str, Tensor], path: Path, name: str) -> None:
    """Load all but the classifier, which stays as it was drawn."""
    heads = classifiers(trunk)
    kept = {key: value for key, value in trunk.state_dict().items() if key.startswith(heads)}
    taken = {key: value for key, value in weights.items() if not key.startswith(heads)}
    fit_weights(trunk, taken | kept, path=path, name=name)


def classifiers(trunk: nn.Module) -> tuple[str, ...]:
    """How the keys of a timm model's classifier begin."""
    named = getattr(trunk, "pretrained_cfg", {}).get("classifier") or ()
    return tuple(f"{one}." for one in ([named] if isinstance(named, str) else named))
