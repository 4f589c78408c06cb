"""ERSM: the frozen backbone of a trained model, with an energy mask and a new head learnt on top (section 1)."""

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from xai_bench.adapters.factories import MASK_KEYWORDS
from xai_bench.adapters.model import Colour
from xai_bench.data import Data
from xai_bench.ersm import EnergyMask, ErsmModel
from xai_bench.ersm.stages import Stage
from xai_bench.training.lesson import Figures, Lesson, Objective
from xai_bench.training.loop import Rows, examples, fit, seeded
from xai_bench.training.plain import HALF, classified, normalised
from xai_bench.training.recipe import Recipe
from xai_bench.training.trainer import Trainer
from xai_bench.types import Card, Images

OPEN, CLOSED = 0.99, 0.01  # mean keep beyond which a mask says nothing
CHUNK = 256  # images whose features are computed at once


class CollapseWarning(UserWarning):
    """The mask of a trained model is open or closed nearly everywhere, so that its map ranks next to nothing."""


@dataclass(frozen=True, kw_only=True)
class Ersm(Trainer):
    """An energy mask and a linear head on a frozen backbone, by cross-entropy + mean(keep * energy).

    The mask's fields are those of EnergyMask. In mode `reference` the statistics of the frozen backbone's batch norms
    drift, as published; in `stable` they stay. `finetune` lets the backbone learn too, at the recipe's backbone_lr.
    """

    card: ClassVar[Card] = Card(
        "ersm",
        source="arXiv 2604.06893, from the authors' code",
        summary="an energy mask and a linear head on a timm backbone",
        needs=frozenset({"labels"}),
    )
    scheme: ClassVar[str] = "ersm"
    preset: ClassVar[str] = "ersm"

    patch_size: int = 1
    unary_weight: float = 1e-3  # lambda
    pairwise_weight: float = 1e-3  # gamma
    temperature: float = 1.0
    mode: Literal["reference", "stable"] = "reference"
    start: float | None = None  # the bias at first, in mode stable; None: open
    stage: str | int | None = None  # the mask stands after this stage of the backbone; None: after the last feature map
    finetune: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        EnergyMask(1, **self._given(MASK_KEYWORDS))  # refuses what no mask can have

    def architecture(self) -> Mapping[str, Any]:
        return self._given((*MASK_KEYWORDS, "stage"))

    def _given(self, names: Sequence[str]) -> dict[str, Any]:
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def objective(self, module: nn.Module) -> Objective:  # noqa: ARG002 - an ErsmModel says all of itself
        return _masked_classification if self.finetune else _masked_classification_of_features

    def features(self, module: nn.Module) -> Callable[[Tensor], Tensor] | None:
        return None if self.finetune else cast("ErsmModel", module).features

    def ready(self, module: nn.Module) -> None:
        module.train()
        self.trunk(module).requires_grad_(requires_grad=self.finetune)

    def controls(self) -> Mapping[str, Trainer]:
        free = replace(self, unary_weight=0.0, pairwise_weight=0.0)
        return {"no_energy": free, "no_pairwise": replace(self, pairwise_weight=0.0)}

    def warning(self, figures: Mapping[str, float]) -> Warning | None:
        return collapse(figures["keep"])


def _masked_classification(module: nn.Module, lesson: Lesson) -> Figures:
    model = cast("ErsmModel", module)
    return _masked_classification_of_features(model, lesson._replace(inputs=model.features(lesson.inputs)))


def _masked_classification_of_features(module: nn.Module, lesson: Lesson) -> Figures:
    model = cast("ErsmModel", module)
    logits, out = model.classify(lesson.inputs)
    figures = classified(logits, lesson)
    return figures | {"loss": figures["loss"] + model.mask.regulariser(out), "keep": out.keep.mean()}


def train_ersm(
    plain: nn.Module,
    data: Data,
    recipe: Recipe,
    *,
    mask: EnergyMask,
    stage: Stage = None,
    mean: Colour = HALF,
    std: Colour = HALF,
    progress: bool = True,
) -> ErsmModel:
    """An ErsmModel on a copy of `plain`'s backbone, trained by cross-entropy + mean(keep * energy), in eval mode.

    `plain` is a timm CNN and stays as it is; `mask` lends its parameters' settings, its weights start anew from the
    recipe's seed; it stands after `stage`, as ErsmModel says. In mode `stable` what comes before it is computed once;
    in `reference` at every step in training mode, so that batch-norm statistics drift as published.
    Warns with CollapseWarning when the mask ends open or closed.
    """
    images, labels = examples(data)
    images = normalised(images, mean, std)
    with seeded(recipe, "ersm"):
        model = _fresh(plain, mask, stage, len(data.classes))
        kept = _features(model, images) if mask.mode == "stable" else None

        def step(rows: Rows) -> Figures:
            with torch.no_grad():
                features = model.features(images[rows]) if kept is None else kept[rows]
            return _masked_classification_of_features(model, Lesson(features, labels[rows]))

        means = fit(model, step, len(labels), recipe, title="ersm", progress=progress)
    if warning := collapse(means["keep"]):
        warnings.warn(warning, stacklevel=2)
    return model


def _fresh(plain: nn.Module, mask: EnergyMask, stage: Stage, num_classes: int) -> ErsmModel:
    mask = copy.deepcopy(mask)
    mask.reset_parameters()
    return ErsmModel(copy.deepcopy(plain), num_classes=num_classes, mask=mask, stage=stage)


@torch.no_grad()
def _features(model: ErsmModel, images: Images) -> Tensor:
    return torch.cat([model.features(chunk) for chunk in torch.split(images, CHUNK)])


def collapsed(keep: float) -> bool:
    """Whether a mean keep probability is one of a mask that says nothing."""
    return not CLOSED <= keep <= OPEN


def collapse(keep: float) -> CollapseWarning | None:
    """What to say of a mask that ended open or closed; `keep` is its mean."""
    if not collapsed(keep):
        return None
    return CollapseWarning(
        f"the energy mask collapsed: it keeps {keep:.2%} of the feature map on average, where 1 % to 99 % tells "
        f"tokens apart; {'raise' if keep > OPEN else 'lower'} unary_weight and pairwise_weight, or change start"
    )
