"""The map of any model that offers one."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.errors import UnsupportedError
from xai_bench.explainers.asked import Asked
from xai_bench.explainers.explainer import Explainer
from xai_bench.explainers.upsample import upsample
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class NativeMap(Explainer):
    """What the model's own method `native_map(inputs)` gives, (B, h, w) of any resolution, upsampled bilinearly.

    `inputs` are normalised images, (B, 3, H, W). A method with a parameter named `targets` is given the classes asked
    for, (B,) int64; of such a model contrasts and groups of classes are refused. Runs without gradients.
    """

    card: ClassVar = ExplainerCard(
        "native_map",
        source="the model's author",
        summary="the map that a model's own `native_map` gives",
        kind="intrinsic",
        family="intrinsic",
        passes="1 F",
        exempt={"targets": "a method without `targets` is not told which class is asked for"},
    )

    def unfit(self, model: VisionModel) -> str:
        if callable(getattr(model.module, "native_map", None)):
            return ""
        return (
            f"explainer 'native_map' reads what a model's method native_map(inputs) gives, which {model.label!r}, a "
            f"{type(model.module).__name__}, does not have"
        )

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:
        if refusal := self.unfit(model):
            raise UnsupportedError(refusal)
        offered = cast("Callable[..., Tensor]", model.module.native_map)
        told = "targets" in inspect.signature(offered).parameters
        if told and isinstance(model, Asked):
            raise UnsupportedError(f"native_map of {model.label!r} knows classes, but no contrasts or groups of them")
        with torch.no_grad():
            cells = offered(model.normalise(images), **({"targets": targets} if told else {}))
        if cells.ndim != 3 or len(cells) != len(images):
            raise UnsupportedError(
                f"native_map of {model.label!r} must give (B, h, w) with B = {len(images)}, got {tuple(cells.shape)}"
            )
        return upsample(cells, images)
