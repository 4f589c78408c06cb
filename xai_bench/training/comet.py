"""COMET: a selector and a predictor that learn together, watched by a trained detector (section 6.4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

from torch import nn

from xai_bench.adapters import VisionModel
from xai_bench.adapters.checkpoint import fit_weights, read_weights
from xai_bench.errors import InvalidValueError
from xai_bench.intrinsic import CometLoss, CometModel
from xai_bench.training.lesson import Figures, Lesson, Objective
from xai_bench.training.loop import accuracy
from xai_bench.training.trainer import Start, Trainer
from xai_bench.types import Card


@dataclass(frozen=True, kw_only=True)
class Comet(Trainer):
    """A timm classifier that sees what a selector selects, while a frozen trained one looks at the rest.

    The detector is the model of `backbone_of` or `checkpoint`, whole; the predictor starts from its backbone with a new
    classifier, as the authors' starts from ImageNet's. The loss is `CometLoss`. Figures: the mask's mean (`selected`)
    and how often the detector is right of what was left out (`left_over`; chance where nothing telling is left).
    """

    card: ClassVar[Card] = Card(
        "comet",
        source="Zhang et al. 2024, arXiv:2407.19308, from the authors' code",
        summary="a selector and a timm classifier that sees what it selects",
        needs=frozenset({"labels"}),
    )
    scheme: ClassVar[str] = "comet"

    selector_width: int = 16
    form: Literal["code", "paper"] = "code"
    outside_weight: float = 4.0
    area_weight: float = 100.0
    area: float = 0.2
    gap: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.loss  # noqa: B018 - refuses what no loss can have
        if not (self.checkpoint or self.backbone_of):
            raise InvalidValueError(
                f"model {self.label or self.card.name!r} needs checkpoint or backbone_of, the trained classifier that "
                "is its detector"
            )

    @property
    def loss(self) -> CometLoss:
        """What is minimised."""
        return CometLoss(self.form, self.outside_weight, self.area_weight, self.area, self.gap)

    def architecture(self) -> Mapping[str, Any]:
        return {"selector_width": self.selector_width}

    def trunk(self, module: nn.Module) -> nn.Module:
        return cast("CometModel", module).predictor

    def build(self, start: Start) -> VisionModel:
        model = super().build(start)
        weights = start.backbone if self.checkpoint is None else read_weights(Path(self.checkpoint))
        if weights is not None:  # None: only its shape is asked for, before the model of `backbone_of` is trained
            detector, path = cast("CometModel", model.module).detector, Path(self.checkpoint or self.backbone_of)
            fit_weights(detector, dict(weights), path=path, name=f"detector of {model.name}")
        return model

    def objective(self, module: nn.Module) -> Objective:  # noqa: ARG002 - a CometModel says all of itself
        loss = self.loss

        def watched(module: nn.Module, lesson: Lesson) -> Figures:
            found = cast("CometModel", module).selected(lesson.inputs)
            return {
                "loss": loss(found, lesson.labels),
                "accuracy": accuracy(found.logits, lesson.labels),
                "selected": found.mask.detach().mean(),
                "left_over": accuracy(found.outside, lesson.labels),
            }

        return watched
