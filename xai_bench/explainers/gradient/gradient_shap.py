"""Gradient SHAP, or expected gradients: integrated gradients averaged over many baselines."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from xai_bench.adapters import VisionModel
from xai_bench.explainers.explainer import Explainer
from xai_bench.explainers.gradient.baselines import baseline
from xai_bench.explainers.gradient.checked import check_count, check_noise
from xai_bench.explainers.gradient.copies import Copies, Numbers, add_by_row, copies, gradients, normal, uniform
from xai_bench.seeding import Noise
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class GradientShap(Explainer):
    """Mean of (image - baseline) times the gradient at a random point of the line between, summed over colours. Signed.

    Each of the `samples` has a baseline of its own: independent uniform noise at every colour of every pixel, or always
    the one named. Points are stratified: one at random in each of `samples` equal parts of the line, which leaves the
    mean as it is and its scatter smaller. `sigma` adds normal noise to the image of each sample, as in captum's and
    shap's gradient SHAP; with 0, the default, these are expected gradients. Sums to the logit's gain over the mean
    of the baselines' logits, up to scatter. Real images as baselines would make a map depend on what else was loaded.
    """

    card: ClassVar = ExplainerCard(
        "gradient_shap",
        source="Erion et al. 2021 (expected gradients), arXiv:1906.10670; Lundberg & Lee 2017, arXiv:1705.07874; "
        "uniform baselines: Sturmfels, Lundberg & Lee 2020, doi:10.23915/distill.00022",
        summary="gradients averaged on the lines from random baselines to the image",
        family="gradient",
        passes="samples F + samples B",
        exempt={"flip": "draws baselines or noise at each pixel"},
    )

    samples: int = 50
    baseline: Literal["uniform", "black", "mean", "white", "blur"] = "uniform"
    sigma: float = 0.0  # of the noise on the image, as a fraction of the range of values, which is 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self, "samples", self.samples)
        check_noise(self, self.sigma)

    def __call__(self, model: VisionModel, images: Images, targets: Targets, noise: Noise) -> Maps:  # type: ignore[override]
        places = (torch.arange(self.samples) + _stream(noise, "place").uniform(self.samples)) / self.samples
        total = torch.zeros_like(images, dtype=torch.float64)
        for rows, numbers in copies(len(images), self.samples):
            starts = self._starts(model, images, rows, numbers, noise)
            ends = images[rows] + self.sigma * normal(_stream(noise, "image"), rows, numbers, images)
            place = places[rows, numbers].view(-1, 1, 1, 1).to(images)
            found = gradients(model, starts + place * (ends - starts), targets[rows])
            add_by_row(total, rows, (ends - starts) * found)
        return (total / self.samples).sum(1).float()

    def _starts(self, model: VisionModel, images: Images, rows: Numbers, numbers: Numbers, noise: Noise) -> Copies:
        if self.baseline == "uniform":
            return uniform(_stream(noise, "baseline"), rows, numbers, images)
        return baseline(self.baseline, model, images[rows])


def _stream(noise: Noise, of: str) -> Noise:
    return Noise(noise.seed, f"{noise.purpose}/{of}", noise.ids)
