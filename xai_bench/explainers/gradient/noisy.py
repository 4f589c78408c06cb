"""What explainers share that read the gradients of noisy copies of an image."""

from dataclasses import dataclass

import torch

from xai_bench.adapters import VisionModel
from xai_bench.explainers.explainer import Explainer
from xai_bench.explainers.gradient.checked import check_count, check_noise
from xai_bench.explainers.gradient.copies import Fields, add_by_row, copies, gradients, normal
from xai_bench.seeding import Noise
from xai_bench.types import Images, Targets


@dataclass(frozen=True)
class NoisyGradients(Explainer):
    """Gradients at `samples` copies of the image, each with normal noise added at every colour of every pixel.

    Copies are not clipped to [0, 1]. All explainers of this kind see the same copies of an image.
    """

    samples: int = 50
    sigma: float = 0.15  # of the noise, as a fraction of the range of values, which is 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self, "samples", self.samples)
        check_noise(self, self.sigma)

    def moments(self, model: VisionModel, images: Images, targets: Targets, noise: Noise) -> tuple[Fields, Fields]:
        """The mean of the copies' gradients, and of their squares."""
        total = torch.zeros_like(images, dtype=torch.float64)
        squares = total.clone()
        for rows, numbers in copies(len(images), self.samples):
            noisy = images[rows] + self.sigma * normal(noise, rows, numbers, images)
            found = gradients(model, noisy, targets[rows]).double()  # a variance is a small difference of large squares
            add_by_row(total, rows, found)
            add_by_row(squares, rows, found.square())
        return total / self.samples, squares / self.samples
