"""What making maps costs: seconds by the clock on the wall, and images that went through the model and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch

from xai_bench.adapters import VisionModel


@dataclass
class Cost:
    """Of one explainer on some images of one model."""

    images: int = 0  # explained
    seconds: float = 0.0
    forward: int = 0  # images that went through the model, altered ones too
    backward: int = 0  # images whose gradient came back from the model's output

    def add(self, other: "Cost") -> None:
        """Take another's on."""
        self.images += other.images
        self.seconds += other.seconds
        self.forward += other.forward
        self.backward += other.backward


@contextmanager
def clocked(model: VisionModel, images: int) -> Iterator[Cost]:
    """A cost that is there once the block has ended, and the device with it."""
    cost = Cost(images)

    def came_back(gradient: torch.Tensor) -> None:
        cost.backward += len(gradient)

    def went_through(_module: Any, _inputs: Any, output: Any) -> None:
        cost.forward += len(output)
        if output.requires_grad:
            output.register_hook(came_back)

    handle = model.module.register_forward_hook(went_through)
    try:
        _wait(model)
        start, elsewhere = perf_counter(), model.elsewhere
        yield cost
        _wait(model)
        cost.seconds = perf_counter() - start
        cost.forward += model.elsewhere - elsewhere
    finally:
        handle.remove()


def _wait(model: VisionModel) -> None:
    """A GPU goes on while Python is elsewhere; what is asked of it counts only when it is done."""
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
