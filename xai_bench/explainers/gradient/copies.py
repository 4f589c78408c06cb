"""Gradients at many altered copies of each image, in passes of bounded size that cross copies and images."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.explainers.look import IMAGE, look
from xai_bench.seeding import Noise
from xai_bench.types import Images, Targets

AT_ONCE = 32  # copies in one pass
Numbers = Int64[Tensor, " n"]
Copies = Float32[Tensor, "n 3 H W"]
Fields = Float64[Tensor, "B 3 H W"]  # float64, so that a sum of many does not depend on how they were divided


def copies(images: int, each: int) -> Iterator[tuple[Numbers, Numbers]]:
    """Which image and the how-manieth copy of it, for each copy of one pass; the copies of an image are neighbours."""
    rows, numbers = torch.arange(images).repeat_interleave(each), torch.arange(each).repeat(images)
    yield from zip(torch.split(rows, AT_ONCE), torch.split(numbers, AT_ONCE), strict=True)


def gradients(model: VisionModel, altered: Copies, targets: Targets) -> Copies:
    """The gradient of each target's score with respect to the image in [0, 1]."""
    found = look(model, altered, targets, {IMAGE}).image_gradient
    assert found is not None
    return found


def add_by_row(totals: Fields, rows: Numbers, values: Float[Tensor, "n 3 H W"]) -> None:
    """Add each copy's values to its image's, by a product with 0 and 1: a GPU's index_add differs from call to call."""
    reached = torch.arange(int(rows[0]), int(rows[-1]) + 1)
    belongs = (reached[:, None] == rows).to(totals)
    totals[reached] += (belongs @ values.double().flatten(1)).view(-1, *values.shape[1:])


def normal(noise: Noise, rows: Numbers, numbers: Numbers, images: Images) -> Copies:
    """Standard normal noise of these copies; a copy's own depends on its image's id and its number only."""
    drawn = [stream.normal(*images.shape[1:]) for stream in _streams(noise, rows, numbers)]
    return torch.cat(drawn).to(images.device)


def uniform(noise: Noise, rows: Numbers, numbers: Numbers, images: Images) -> Copies:
    """Noise in [0, 1) of these copies."""
    drawn = [stream.uniform(*images.shape[1:]) for stream in _streams(noise, rows, numbers)]
    return torch.cat(drawn).to(images.device)


def _streams(noise: Noise, rows: Numbers, numbers: Numbers) -> Iterator[Noise]:
    for row, number in zip(rows.tolist(), numbers.tolist(), strict=True):
        yield Noise(noise.seed, f"{noise.purpose}/{number}", (noise.ids[row],))
