"""A copy of a model whose weights are drawn anew."""

import copy

import torch
from torch import nn

from xai_bench.adapters import VisionModel


def renewed(model: VisionModel, seed: int) -> VisionModel:
    """The same architecture, target layer and normalisation, and nothing that was learnt; the model is not touched.

    The weights are drawn on the CPU, so that the seed alone decides them.
    """
    # no gradients of the caller's are copied, and no graph
    module = copy.deepcopy(model.module).cpu().eval().requires_grad_(requires_grad=False)
    with torch.random.fork_rng(devices=[]), torch.inference_mode(mode=False), torch.no_grad():
        torch.manual_seed(seed)
        _draw(module)
    return VisionModel(
        module.to(model.device),
        name=model.name,
        mean=model.mean,
        std=model.std,
        preprocessing=model.preprocessing,
        layer=model.layer,
        label=f"{model.label} with random weights",
    )


def _draw(module: nn.Module) -> None:
    """Each layer as its own `reset_parameters` makes it; what none has changed is shuffled."""
    before = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    for part in module.modules():
        if callable(reset := getattr(part, "reset_parameters", None)):
            reset()
    for name, weight in module.named_parameters():
        if torch.equal(weight, before[name]):
            order = torch.randperm(weight.numel())
            weight.copy_(weight.flatten()[order].view_as(weight))
