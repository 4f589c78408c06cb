"""CAMAL: a timm classifier whose attention is taught to lie on the object (section 2.3)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor, nn

from xai_bench.adapters import VisionModel
from xai_bench.adapters.checkpoint import fit_weights, read_weights
from xai_bench.adapters.layers import find_layer, layer_named, pooled_head
from xai_bench.data import knowing
from xai_bench.errors import DataError, InvalidValueError, UnsupportedError
from xai_bench.ersm.camal import AttentionLoss, CamalLoss, attention
from xai_bench.training.lesson import Figures, Lesson, Objective
from xai_bench.training.plain import classified
from xai_bench.training.trainer import Start, Trainer
from xai_bench.types import Card


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
        if self.classifier == "kept" and start.backbone is not None:
            fit_weights(model.module, dict(start.backbone), path=Path(self.backbone_of), name=model.name)
        elif self.classifier == "kept" and self.checkpoint is not None:
            path = Path(self.checkpoint)
            fit_weights(model.module, read_weights(path), path=path, name=model.name)
        return model

    def controls(self) -> Mapping[str, Trainer]:
        return {"control": replace(self, loss=CamalLoss(0.0))}

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


def regionless(what: str) -> DataError:
    """The refusal of data without masks or boxes, with the names of those that have them."""
    names = ", ".join(knowing("regions"))
    return DataError(f"CAMAL needs the object's regions, and {what} have none; data that may have them: {names}")
