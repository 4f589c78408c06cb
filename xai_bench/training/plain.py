"""A plain classifier, trained end to end or by its head alone: the model that the others are compared with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, cast

import torch
from timm import create_model
from torch import Tensor, nn
from torch.nn import functional

from xai_bench.adapters.model import Colour
from xai_bench.data import Data
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.ersm import ErsmModel
from xai_bench.training.lesson import Figures, Lesson, Objective
from xai_bench.training.loop import Rows, accuracy, examples, fit, seeded
from xai_bench.training.recipe import Recipe
from xai_bench.training.trainer import Trainer
from xai_bench.types import Card, Images

HALF: Colour = (0.5, 0.5, 0.5)
# An energy mask that nothing closes: sigmoid(40) is 1 in float32, and its weights never learn.
UNMASKED: Mapping[str, Any] = {"mode": "stable", "start": -40.0, "unary_weight": 0.0, "pairwise_weight": 0.0}
FAST = torch.channels_last  # a fifth faster on a CPU


class _Timm(Protocol):
    def forward_features(self, images: Tensor) -> Tensor: ...
    def forward_head(self, features: Tensor) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Plain(Trainer):
    """Any timm classifier, by cross-entropy; with `finetune=False` its classifier alone, on a frozen backbone.

    What timm puts between the last feature map and the classifier stays, frozen: after pooling a ConvNeXt normalises
    once more, a MobileNetV3 convolves. With `head="linear"` nothing is there but global average pooling, on any CNN, as
    in ERSM's published baseline: an ErsmModel whose mask keeps exactly 1 everywhere, for ever. `drift` lets the
    statistics of a frozen backbone's batch norms go on moving, as in that baseline.
    """

    card: ClassVar[Card] = Card("plain", source="ours", summary="a timm classifier", needs=frozenset({"labels"}))

    finetune: bool = True
    drift: bool = False
    head: Literal["timm", "linear"] = "timm"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.head == "linear" and self.finetune:
            raise InvalidValueError(
                f"head 'linear' of model {self.label or self.card.name!r} stands on a frozen backbone; add finetune = "
                "false, or leave it out"
            )

    def keywords(self, classes: int) -> dict[str, Any]:
        found = super().keywords(classes)
        return found if self.head == "timm" else {**found, "name": f"ersm:{self.backbone}", **UNMASKED}

    def objective(self, module: nn.Module) -> Objective:  # noqa: ARG002 - any module of timm will do
        if self.finetune:
            return classification
        return _classification_of_features if self.head == "timm" else _linear_classification_of_features

    def features(self, module: nn.Module) -> Callable[[Tensor], Tensor] | None:
        if self.finetune:
            return None
        return cast("_Timm", module).forward_features if self.head == "timm" else cast("ErsmModel", module).features

    def ready(self, module: nn.Module) -> None:
        module.train(self.finetune or self.drift)
        if not self.finetune:
            module.requires_grad_(requires_grad=False)
            self.trunk(module).train(self.drift)  # an ErsmModel would keep it in eval mode
            learns = cast("ErsmModel", module).head if self.head == "linear" else cast("Any", module).get_classifier()
            learns.requires_grad_(requires_grad=True)


def classification(module: nn.Module, lesson: Lesson) -> Figures:
    """Cross-entropy and accuracy of a module that takes images."""
    return classified(module(lesson.inputs), lesson)


def _classification_of_features(module: nn.Module, lesson: Lesson) -> Figures:
    return classified(cast("_Timm", module).forward_head(lesson.inputs), lesson)


def _linear_classification_of_features(module: nn.Module, lesson: Lesson) -> Figures:
    return classified(cast("ErsmModel", module).classify(lesson.inputs)[0], lesson)


def classified(logits: Tensor, lesson: Lesson) -> dict[str, Tensor]:
    """Cross-entropy as the loss, and the accuracy, of (B, K) logits."""
    loss = functional.cross_entropy(logits, lesson.labels)
    return {"loss": loss, "accuracy": accuracy(logits, lesson.labels)}


def normalised(images: Images, mean: Colour, std: Colour) -> Images:
    """Minus the mean, over the standard deviation, colour by colour."""
    return (images - images.new_tensor(mean).view(3, 1, 1)) / images.new_tensor(std).view(3, 1, 1)


def train_plain(
    data: Data,
    recipe: Recipe,
    *,
    backbone: str = "test_resnet",
    factory: Mapping[str, Any] | None = None,
    mean: Colour = HALF,
    std: Colour = HALF,
    progress: bool = True,
) -> nn.Module:
    """A timm classifier of the data's classes, from random weights, in eval mode; it takes normalised images.

    `factory` holds further keywords of timm.create_model, such as output_stride.
    The same data, recipe and machine give the same weights to the last bit. Refuses a recipe of which it could not do
    everything: `training.train` does.
    """
    if recipe.backbone_lr != 1:
        raise UnsupportedError(
            f"backbone_lr of a recipe must be 1 here, got {recipe.backbone_lr!r}; training.train and train suites take "
            "others"
        )
    images, labels = examples(data)
    images = normalised(images, mean, std).contiguous(memory_format=FAST)
    with seeded(recipe, "plain"):
        model = create_model(backbone, num_classes=len(data.classes), **(factory or {})).to(memory_format=FAST)

        def step(rows: Rows) -> Figures:
            return classification(model, Lesson(images[rows], labels[rows]))

        fit(model, step, len(labels), recipe, title=backbone, progress=progress)
    return model.to(memory_format=torch.contiguous_format)
