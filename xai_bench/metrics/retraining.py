"""What the metrics that retrain the model have in common."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from xai_bench.adapters import VisionModel
from xai_bench.engine import Case, Curve, check_steps
from xai_bench.engine.ranking import counts
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.metrics.learners import Span, inputs, learners
from xai_bench.metrics.metric import CurveMetric
from xai_bench.removal import Fill, PixelRemoval, Removal
from xai_bench.seeding import key
from xai_bench.training import Recipe, TrainSet, unrenewable

WEIGHT_DECAY, WARMUP = 1e-4, 0.3  # ours


@dataclass(frozen=True)
class Retraining(CurveMetric):
    """Share of the `repeats` models trained anew that classify an image correctly when they see part of it.

    A model of the same architecture is trained from new first weights on the train set, of which each image shows only
    some places of the explainer's ranking, and then shown the scored image altered in the same way. Undefined where
    the scored image's map orders nothing; a train image with such a map is altered in random order.
    Ours: the recipe (AdamW with a warm-up and a cosine, torch's own first weights, cross-entropy alone, no
    augmentation, float32); first weights and order of examples are the same for all explainers and fractions.
    The train images are explained for the predicted class, or for the label where the scored images' targets are given.
    """

    facts: ClassVar = {
        "unit": "pixel",
        "order": "morf",
        "ties": "random",
        "weights": "reset_parameters",
        "optimiser": f"adamw(weight_decay={WEIGHT_DECAY:g},warmup={WARMUP:g},schedule=cosine)",
        "area": "mean",
        "resampling": "none",
    }

    train: TrainSet = field(default_factory=lambda: TrainSet(n=500))
    fractions: tuple[float | int, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    removal: Removal = field(default_factory=Fill)  # `mean` is the model's mean colour, not measured on the train set
    repeats: int = 1
    epochs: int = 10
    lr: float | int = 5e-3
    batch_size: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.fractions, f"fractions of {self.card.name}")
        if self.repeats < 1:
            raise InvalidValueError(f"repeats must be a whole number from 1, got {self.repeats}")
        self.recipes(0)

    def recipes(self, seed: int) -> list[Recipe]:
        """How each of the models is trained."""
        recipe = Recipe(self.epochs, self.batch_size, float(self.lr), WEIGHT_DECAY, WARMUP)
        return [replace(recipe, seed=key(seed, "retraining", repeat)) for repeat in range(self.repeats)]

    @abstractmethod
    def curve(self, case: Case) -> Curve:
        """The record of each image, (B, S): one number for each fraction."""

    def __call__(self, case: Case) -> Tensor:
        return self.curve(case).values.mean(1)

    def counts(self, case: Case) -> tuple[list[int], int]:
        """How many pixels each fraction is, and how many there are."""
        total = case.batch.images[0, 0].numel()
        return counts(self.fractions, total), total

    def right(self, case: Case, spans: Sequence[Span]) -> Float64[Tensor, "B S"]:
        """For each span the share of the models trained on it that classify the image, so altered, correctly."""
        model = case.scene.model
        if why := self.unfit(model):
            raise UnsupportedError(why)
        assert isinstance(self.removal, PixelRemoval)
        found = learners(case, self.train, self.removal, self.recipes(case.scene.seed), spans)
        with torch.inference_mode():
            shares = [
                torch.stack([self._right(case, module, span) for module in modules]).mean(0)
                for span, modules in zip(spans, found, strict=True)
            ]
            return torch.stack(shares, 1).cpu()

    def _right(self, case: Case, module: nn.Module, span: Span) -> Float64[Tensor, " B"]:
        assert isinstance(self.removal, PixelRemoval)
        assert case.batch.labels is not None
        parts = torch.split(inputs(case, self.removal, span), case.scene.engine.chunk)
        predicted = torch.cat([module(part) for part in parts]).argmax(1)
        return (predicted == case.batch.labels).double()

    def unfit(self, model: VisionModel) -> str:
        return super().unfit(model) or self._untrainable(model)

    def _untrainable(self, model: VisionModel) -> str:
        who = f"metric {self.card.name!r} retrains model {model.label!r}"
        if not isinstance(self.removal, PixelRemoval):
            return f"{who} on altered pixels, but removal {self.removal.card.name!r} alters the forward pass"
        if why := unrenewable(model.module):
            return f"{who} from scratch, but its {why}"
        train, classes = self.train.load(model.preprocessing), _classes(model)
        if len(train.classes) != classes:
            return f"{who} of {classes} classes on {train.label!r}, which has {len(train.classes)}; give train its data"
        return ""


def _classes(model: VisionModel) -> int:
    with model.ready(), torch.inference_mode():
        return int(model(torch.zeros(1, 3, *model.input_size, device=model.device)).shape[1])
