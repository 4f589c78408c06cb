"""ERSM: the frozen backbone of a trained model, with an energy mask and a new head learnt on top (section 1)."""

import copy
import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional

from xai_bench.adapters.model import Colour
from xai_bench.data import Data
from xai_bench.ersm import EnergyMask, ErsmModel
from xai_bench.ersm.stages import Stage
from xai_bench.training.loop import Figures, Recipe, Rows, accuracy, examples, fit, seeded
from xai_bench.training.plain import HALF, normalised
from xai_bench.types import Images

OPEN, CLOSED = 0.99, 0.01  # mean keep beyond which a mask says nothing
CHUNK = 256  # images whose features are computed at once


class CollapseWarning(UserWarning):
    """The mask of a trained model is open or closed nearly everywhere, so that its map ranks next to nothing."""


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
            logits, out = model.classify(features)
            return {
                "loss": functional.cross_entropy(logits, labels[rows]) + model.mask.regulariser(out),
                "accuracy": accuracy(logits, labels[rows]),
                "keep": out.keep.mean(),
            }

        means = fit(model, step, len(labels), recipe, title="ersm", progress=progress)
    _warn_of_collapse(means["keep"])
    return model


def _fresh(plain: nn.Module, mask: EnergyMask, stage: Stage, num_classes: int) -> ErsmModel:
    mask = copy.deepcopy(mask)
    mask.reset_parameters()
    return ErsmModel(copy.deepcopy(plain), num_classes=num_classes, mask=mask, stage=stage)


@torch.no_grad()
def _features(model: ErsmModel, images: Images) -> Tensor:
    return torch.cat([model.features(chunk) for chunk in torch.split(images, CHUNK)])


def _warn_of_collapse(keep: float) -> None:
    if not CLOSED <= keep <= OPEN:
        warnings.warn(
            f"the energy mask collapsed: it keeps {keep:.2%} of the feature map on average, where 1 % to 99 % tells "
            f"tokens apart; {'raise' if keep > OPEN else 'lower'} unary_weight and pairwise_weight, or change start",
            CollapseWarning,
            stacklevel=3,
        )
