"""LIME's samples and LIME's regression: what the explainer and the metrics of removals both take.

Source: Ribeiro et al. 2016, arXiv:1602.04938; the numbers are the defaults of lime_image.
"""

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from xai_bench.seeding import Noise

SHARE, WIDTH, ALPHA = 0.5, 0.25, 1.0  # of segments kept; of the kernel; of the ridge
Weights = Float64[Tensor, " n"]


def drawn(noise: Noise, samples: int, count: int) -> Bool[Tensor, "samples count"]:
    """Which segments of one image are kept in each sample, the first of which is the whole image."""
    chosen = noise.uniform(samples, count)[0] < SHARE
    chosen[0] = True
    return chosen


def regressed(chosen: Bool[Tensor, "S n"], values: Float64[Tensor, " S"]) -> Weights:
    """Coefficients of a ridge regression with an intercept, near perturbations counting more.

    Distance d = 1 - sqrt(share kept), the cosine distance to the whole image; weight exp(-d^2 / (2 width^2)).
    """
    kept = chosen.double()
    distance = 1 - kept.mean(1).sqrt()
    weight = (-(distance**2) / (2 * WIDTH**2)).exp()
    share = weight / weight.sum()
    scaled = weight.sqrt()[:, None] * (kept - share @ kept)
    target = weight.sqrt() * (values - share @ values)
    gram = scaled @ scaled.T + ALPHA * torch.eye(len(kept), dtype=torch.float64)  # never larger than samples x samples
    weights: Tensor = scaled.T @ torch.linalg.solve(gram, target)
    return weights
