"""A model that costs nothing, and models and explainers that break, for the runs of the fault harness."""

import os
import signal
from pathlib import Path

import torch
from torch import Tensor, nn

from xai_bench.seeding import Noise

MARKER = "XAI_BENCH_TESTS_MARKER"  # names a file that is there once the death that is to happen once has happened


class Hungry(nn.Sequential):
    """A model on a device that has no memory for more than a few images."""

    at_most = 0

    def forward(self, images: Tensor) -> Tensor:
        if self.at_most and len(images) > self.at_most and torch.is_inference_mode_enabled():
            raise torch.OutOfMemoryError(f"a planted end of memory at {len(images)} images")
        for layer in self:
            images = layer(images)
        return images


def tiny(width: int = 4, at_most: int = 0) -> nn.Module:
    """One convolution, random weights: a run of 60 units takes about a second."""
    model = Hungry(
        nn.Conv2d(3, width, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * width, 4)
    )
    model.at_most = at_most
    return model


def bright(model: object, images: Tensor, targets: Tensor) -> Tensor:
    """Never breaks."""
    return images.mean(1)


def dies_once(model: object, images: Tensor, targets: Tensor) -> Tensor:
    """Kills its own process the first time."""
    marker = Path(os.environ[MARKER])
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return images.mean(1)


def dies_always(model: object, images: Tensor, targets: Tensor, noise: Noise) -> Tensor:
    """Kills its own process at one image."""
    if any(name.endswith("-2") for name in noise.ids):
        os.kill(os.getpid(), signal.SIGKILL)
    return images.mean(1)


def raises_always(model: object, images: Tensor, targets: Tensor, noise: Noise) -> Tensor:
    """Raises at one image."""
    if any(name.endswith("-2") for name in noise.ids):
        raise ValueError("a planted error")
    return images.mean(1)
