"""A plain classifier, trained end to end: the model that ERSM is compared with."""

from collections.abc import Mapping
from typing import Any

import torch
from timm import create_model
from torch import nn
from torch.nn import functional

from xai_bench.adapters.model import Colour
from xai_bench.data import Data
from xai_bench.training.loop import Figures, Recipe, Rows, accuracy, examples, fit, seeded
from xai_bench.types import Images

HALF: Colour = (0.5, 0.5, 0.5)
FAST = torch.channels_last  # a fifth faster on a CPU


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
    The same data, recipe and machine give the same weights to the last bit.
    """
    images, labels = examples(data)
    images = normalised(images, mean, std).contiguous(memory_format=FAST)
    with seeded(recipe, "plain"):
        model = create_model(backbone, num_classes=len(data.classes), **(factory or {})).to(memory_format=FAST)

        def step(rows: Rows) -> Figures:
            logits = model(images[rows])
            return {
                "loss": functional.cross_entropy(logits, labels[rows]),
                "accuracy": accuracy(logits, labels[rows]),
            }

        fit(model, step, len(labels), recipe, title=backbone, progress=progress)
    return model.to(memory_format=torch.contiguous_format)
