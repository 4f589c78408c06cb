"""A model of the same architecture from new first weights, trained by the same loop."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from xai_bench.training.lesson import Figures
from xai_bench.training.loop import Rows, accuracy, fit, seeded
from xai_bench.training.recipe import Recipe
from xai_bench.types import Labels


def unrenewable(module: nn.Module) -> str:
    """Why a module's weights cannot be drawn anew, "" where they can: each layer with weights must know how."""
    for name, part in module.named_modules():
        own = next(iter(part.named_parameters(recurse=False)), None)
        if own is not None and not callable(getattr(part, "reset_parameters", None)):
            layer = f"{name!r} ({type(part).__name__})" if name else type(part).__name__
            return f"layer {layer} has weights ({own[0]}) and no reset_parameters"
    return ""


def train_anew(module: nn.Module, inputs: Tensor, labels: Labels, recipe: Recipe) -> nn.Module:
    """A copy of the module with new first weights, trained by cross-entropy on normalised inputs, in eval mode.

    First weights are those of torch's own `reset_parameters`, layer by layer, whatever the architecture's authors
    drew; every weight is trained. The same inputs, recipe and machine give the same weights to the last bit.
    """
    with seeded(recipe, "anew"), torch.inference_mode(mode=False), torch.enable_grad():
        model = copy.deepcopy(module).requires_grad_(requires_grad=True)
        for part in model.modules():
            if callable(reset := getattr(part, "reset_parameters", None)):
                reset()

        def step(rows: Rows) -> Figures:
            logits, wanted = model(inputs[rows]), labels[rows]
            return {"loss": functional.cross_entropy(logits, wanted), "accuracy": accuracy(logits, wanted)}

        fit(model, step, len(labels), recipe, progress=False)
    return model
