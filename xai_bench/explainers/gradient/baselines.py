"""Images that show nothing: where a path of integration begins, and what an image is compared with."""

from typing import Literal

from xai_bench.adapters import VisionModel
from xai_bench.explainers.gradient.gaussian import blurred
from xai_bench.removal.blur import DEFAULT_SIGMA
from xai_bench.removal.fill import COLOURS
from xai_bench.types import Images

# mean: the model's mean colour, zero after normalisation; blur: the image behind a Gaussian as wide as removal blur's
Baseline = Literal["black", "mean", "white", "blur"]


def baseline(name: Baseline, model: VisionModel, images: Images) -> Images:
    """The baseline of each image, (B, 3, H, W)."""
    if name == "blur":
        return blurred(images, DEFAULT_SIGMA * min(images.shape[2:]))
    colour = model.mean if name == "mean" else COLOURS[name]
    return images.new_tensor(colour).view(1, 3, 1, 1).expand_as(images)
