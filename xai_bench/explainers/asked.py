"""A model asked for a contrast or a group of classes instead of one class."""

from typing import Literal

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.types import Images, Logits, Targets

Explained = Literal["logit", "probability"]


class Asked(VisionModel):
    """The same model, whose outputs are questions: weighted sums of its logits. Targets point to questions.

    Everything that differentiates the target's output explains the question as it would a class. What looks through a
    removal or an engine takes `plain(model)`, and `read` makes of its logits what is explained.
    """

    def __init__(self, model: VisionModel, questions: Float32[Tensor, "K Q"]) -> None:
        vars(self).update(vars(model))  # the same module, not a copy
        self.model, self.questions = model, questions

    def __call__(self, images: Images) -> Logits:
        return self.model(images) @ self.questions


def asked(model: VisionModel, weights: Float32[Tensor, "B K"]) -> tuple[Asked, Targets]:
    """The model asked for each image's own weighted sum of logits, and which question is whose."""
    questions, whose = torch.unique(weights, dim=0, return_inverse=True)
    return Asked(plain(model), questions.T), whose


def plain(model: VisionModel) -> VisionModel:
    """The model with one output per class."""
    return model.model if isinstance(model, Asked) else model


def read(model: VisionModel, logits: Float[Tensor, "n K"], targets: Targets, output: Explained) -> Float[Tensor, " n"]:
    """What is explained, from the logits of `plain(model)`: of a contrast of probabilities, their difference."""
    values = logits.softmax(1) if output == "probability" else logits
    if isinstance(model, Asked):
        values = values @ model.questions
    return values.gather(1, targets[:, None])[:, 0]
