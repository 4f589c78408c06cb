"""CAMAL: a timm classifier whose attention is taught to lie on the object (section 2.3)."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from xai_bench.adapters import VisionModel
from xai_bench.adapters.checkpoint import fit_weights, read_weights
from xai_bench.adapters.layers import find_layer, layer_named, pooled_head
from xai_bench.adapters.model import Colour
from xai_bench.data import Data, knowing
from xai_bench.errors import DataError, InvalidValueError, UnsupportedError
from xai_bench.ersm.camal import AttentionLoss, CamalLoss, attention
from xai_bench.training.lesson import Figures, Lesson, Objective
from xai_bench.training.loop import Rows, examples, fit, seeded
from xai_bench.training.plain import FAST, HALF, classified, normalised
from xai_bench.training.recipe import Recipe
from xai_bench.training.trainer import Start, Trainer
from xai_bench.types import Card, Regions


class Look(NamedTuple):
    """How a model's attention is read: a layer, the head that makes CAM of it, and the layer's output as a grid."""

    layer: str
    head: str  # "" for Grad-CAM
    grid: Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Camal(Trainer):
    """Any timm classifier, by cross-entropy + a loss on its attention for the label; it stays a plain timm model.

    `attention` is CAM where the logits are a linear layer of the layer's mean ("auto"), else Grad-CAM; the two are the
    same map there but for a factor, and CAM spares a pass of second order. The layer is the model's last with a spatial
    output unless named. In training mode Grad-CAM at a layer before a batch norm also holds what other images of the
    batch add through its statistics. `classifier="kept"` goes on with the classifier of `checkpoint` or `backbone_of`.
    A loss whose weight is 0 is the control: the same training without the term.
    """

    card: ClassVar[Card] = Card(
        "camal",
        source="arXiv 2605.08325, our reading of its abstract",
        summary="a timm classifier whose attention is taught to lie on the object",
        needs=frozenset({"labels", "regions"}),
    )

    loss: AttentionLoss = CamalLoss()  # noqa: RUF009 - frozen
    attention: Literal["auto", "cam", "gradcam"] = "auto"
    layer: str = ""  # "": the model's last with a spatial output
    classifier: Literal["new", "kept"] = "new"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classifier == "kept" and not (self.checkpoint or self.backbone_of):
            raise InvalidValueError(
                f"classifier 'kept' of model {self.label!r} needs checkpoint or backbone_of, whose classifier it is"
            )

    def build(self, start: Start) -> VisionModel:
        model = super().build(start)
        if self.classifier == "kept":
            path = Path(self.backbone_of or self.checkpoint or "")
            weights = read_weights(path) if start.backbone is None else dict(start.backbone)
            fit_weights(model.module, weights, path=path, name=model.name)
        return model

    def objective(self, module: nn.Module) -> Objective:  # noqa: ARG002 - looked at with the first lesson's size
        found: list[Look] = []

        def guided(module: nn.Module, lesson: Lesson) -> Figures:
            if lesson.regions is None:
                raise regionless("the training data")
            if not found:
                found.append(self.look(module, lesson.inputs))
            layer, head, grid = found[0]
            logits, maps = attention(module, lesson.inputs, lesson.labels, layer, head=head, grid=grid)
            figures, guidance = classified(logits, lesson), self.loss(maps, lesson.regions)
            return {**figures, "loss": figures["loss"] + guidance, "guidance": guidance.detach()}

        return guided

    def look(self, module: nn.Module, inputs: Tensor) -> Look:
        """Where this model's attention is read; refused where CAM is asked for and the head makes none."""
        probe = inputs[:1]
        target = layer_named(module, self.layer, probe) if self.layer else find_layer(module, probe)
        head = "" if self.attention == "gradcam" else pooled_head(module, target, probe)
        if self.attention == "cam" and not head:
            raise UnsupportedError(
                f"attention 'cam' needs a classifier that is one linear layer of the mean of layer {target.name!r}, "
                f"which {self.backbone!r} has not; use 'gradcam'"
            )
        return Look(target.name, head, target.grid)

    def trunk(self, module: nn.Module) -> nn.Module:
        return module


def train_camal(
    plain: nn.Module,
    data: Data,
    recipe: Recipe,
    *,
    trainer: Camal,
    mean: Colour = HALF,
    std: Colour = HALF,
    progress: bool = True,
) -> nn.Module:
    """A copy of `plain`, classifier and all, that goes on learning by the trainer's loss; in eval mode.

    `plain` is a timm classifier of the data's classes and stays as it is. Data without regions raise DataError.
    The same data, recipe and machine give the same weights to the last bit, on the device where `plain` is.
    """
    if "regions" not in data.knows:
        raise regionless(f"data {data.name!r}")
    device = next(plain.parameters()).device
    images, labels = (part.to(device) for part in examples(data))
    lessons = Lesson(normalised(images, mean, std).contiguous(memory_format=FAST), labels, _regions(data).to(device))
    with seeded(recipe, "camal"):
        model = copy.deepcopy(plain).to(memory_format=FAST)
        trainer.ready(model)
        objective = trainer.objective(model)

        def step(rows: Rows) -> Figures:
            return objective(model, Lesson(*(part[rows] for part in lessons if part is not None)))

        fit(model, step, len(labels), recipe, title=trainer.label or "camal", progress=progress)
    return model.to(memory_format=torch.contiguous_format)


def _regions(data: Data) -> Regions:
    """Those of the images that `examples` takes."""
    batches = list(data)
    usable = [not fault for batch in batches for fault in batch.faults or ("",) * len(batch)]
    return torch.cat([batch.regions for batch in batches if batch.regions is not None])[torch.tensor(usable)]


def regionless(what: str) -> DataError:
    """The refusal of data without masks or boxes, with the names of those that have them."""
    names = ", ".join(knowing("regions"))
    return DataError(f"CAMAL needs the object's regions, and {what} have none; data that may have them: {names}")
