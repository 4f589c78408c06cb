"""The oracles on this machine: what came out beside what paper says."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from xai_bench.engine import Case, Scene
from xai_bench.ersm import EnergyMask
from xai_bench.explainers.gradcam import GradCAM
from xai_bench.explainers.ig import IntegratedGradients
from xai_bench.metrics import score
from xai_bench.metrics.deletion import Deletion
from xai_bench.metrics.insertion import Insertion
from xai_bench.metrics.pointing_game import PointingGame
from xai_bench.oracles import IMAGE, PIXELS, Convolution, Linear, Sum, as_model
from xai_bench.reductions import class_entropy
from xai_bench.removal import Fill, LayerMasking
from xai_bench.seeding import Noise
from xai_bench.types import Batch


class Outcome(NamedTuple):
    """One oracle."""

    oracle: str
    expected: float
    got: float
    passed: bool


def deletion_of_a_sum() -> float:
    """Curve 1, .6, .3, .1, 0 in quarters: area .375."""
    return _of_a_sum(Deletion(removal=Fill("black"), steps=4, output="logit"))


def insertion_of_a_sum() -> float:
    """Curve 0, .4, .7, .9, 1 in quarters: area .625."""
    return _of_a_sum(Insertion(removal=Fill("black"), steps=4, output="logit"))


def _of_a_sum(metric: Deletion | Insertion) -> float:
    case = Case(Scene(as_model(Sum()), Batch(IMAGE, ("a",))), PIXELS)
    return score(metric, case).values.item()


def pointing_just_out_of_reach() -> float:
    """The peak is two pixels from the region: a miss at tolerance 2, since the distance must be below it."""
    region = torch.tensor([[[False, False, True, False]]])
    batch = Batch(torch.zeros(1, 3, 1, 4), ("a",), regions=region)
    case = Case(Scene(as_model(Sum(), (1, 4)), batch), torch.tensor([[[1.0, 0.5, 0.2, 0.1]]]))
    return score(PointingGame(tolerance=2.0), case).values.item()


def integrated_gradients_of_a_linear_model() -> float:
    """Weights times image, summed: completeness without error, 3 x (.4 - .3 + .4 - .1) = 1.2."""
    weights = torch.tensor([[1.0, -1.0], [2.0, -1.0]]).expand(3, 2, 2).clone()
    maps = IntegratedGradients()(as_model(Linear(weights)), IMAGE, torch.tensor([0]))
    return maps.sum().item()


def gradcam_of_a_linear_head() -> float:
    """Channels 1 and 2 of a red and a green pixel, head weights 2 and -1 over 2 cells: the red cell gets 2 / 2 = 1."""
    module = Convolution(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), torch.tensor([[2.0, -1.0], [0.0, 0.0]]))
    image = torch.zeros(1, 3, 1, 2)
    image[0, 0, 0, 0] = image[0, 1, 0, 1] = 1.0
    return GradCAM()(as_model(module, (1, 2), "features"), image, torch.tensor([0]))[0, 0, 0].item()


def hidden_pixels_cannot_leak() -> float:
    """Layer masking: what stands under the mask does not change the output."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    model, removal = as_model(module, (8, 8), "0"), LayerMasking()
    keep = torch.ones(1, 8, 8)
    keep[:, :, 4:] = 0
    images = torch.rand(1, 3, 8, 8)
    others = torch.where(keep[:, None] > 0, images, torch.rand(1, 3, 8, 8))
    noise = Noise(0, "oracle", ("a",))
    with torch.inference_mode():
        seen = [removal.see(model, each, keep, removal.prepare(model, each, noise)) for each in (images, others)]
    return (seen[0] - seen[1]).abs().max().item()


def energy_mask_starts_closed() -> float:
    """Bias 6 and weights 0: keep = 1 / (1 + e^6)."""
    layer = EnergyMask(4)
    with torch.no_grad():
        layer.weight.zero_()
    keep: float = layer(torch.rand(1, 4, 2, 2)).keep.mean().item()
    return keep


def entropy_of_two_classes() -> float:
    """Two classes, half the images each: ln 2."""
    return class_entropy(torch.tensor([[0.0], [1.0], [0.0], [1.0]], dtype=torch.float64).numpy())


ORACLES: tuple[tuple[Callable[[], float], float], ...] = (
    (deletion_of_a_sum, 0.375),
    (insertion_of_a_sum, 0.625),
    (pointing_just_out_of_reach, 0.0),
    (integrated_gradients_of_a_linear_model, 1.2),
    (gradcam_of_a_linear_head, 1.0),
    (hidden_pixels_cannot_leak, 0.0),
    (energy_mask_starts_closed, 1 / (1 + math.exp(6))),
    (entropy_of_two_classes, math.log(2)),
)


def run_oracles() -> list[Outcome]:
    """Every oracle's number against paper, to 1e-6."""
    outcomes = []
    for oracle, expected in ORACLES:
        got = oracle()
        passed = math.isclose(got, expected, rel_tol=1e-6, abs_tol=1e-6)
        outcomes.append(Outcome(oracle.__name__.replace("_", " "), expected, got, passed))
    return outcomes
