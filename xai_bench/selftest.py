"""The oracles on this machine: what came out beside what paper says."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from xai_bench.engine import Case, Pixel, Scene
from xai_bench.ersm import EnergyMask
from xai_bench.explainers.cam import GradCAM
from xai_bench.explainers.gradient import IntegratedGradients
from xai_bench.metrics import Metric, score
from xai_bench.metrics.deletion import Deletion
from xai_bench.metrics.faithfulness_estimate import FaithfulnessEstimate
from xai_bench.metrics.infidelity import Infidelity
from xai_bench.metrics.insertion import Insertion
from xai_bench.metrics.pointing_game import PointingGame
from xai_bench.metrics.saco import Saco
from xai_bench.oracles import IMAGE, PIXELS, Convolution, Linear, Sum, as_model
from xai_bench.reductions import class_entropy
from xai_bench.removal import Fill, LayerMasking, NoisyLinear
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


def drops_of_a_sum_follow_its_pixels() -> float:
    """Each pixel's removal costs what the map says of it: correlation 1."""
    return _of_a_sum(FaithfulnessEstimate(removal=Fill("black"), unit=Pixel(), output="logit"))


def a_sum_explained_exactly_has_no_infidelity() -> float:
    """What a square of pixels is worth is the sum of their values: error 0."""
    return _of_a_sum(Infidelity(removal=Fill("black"), size=1, samples=8, output="logit", normalise=False))


def salience_order_of_a_sum() -> float:
    """Every more salient pixel costs more: coefficient 1."""
    return _of_a_sum(Saco(removal=Fill("black"), groups=4, output="logit"))


def imputation_continues_a_ramp() -> float:
    """The mean of the neighbours, weighted alike on both sides, is the ramp's own value: .5 in its middle."""
    ramp = torch.linspace(0, 1, 5).expand(1, 3, 5, 5).contiguous()
    keep = torch.ones(1, 5, 5)
    keep[:, 1:4, 1:4] = 0
    model, removal = as_model(Sum(), (5, 5)), NoisyLinear(noise=0.0)
    altered = removal.alter(ramp, keep, removal.prepare(model, ramp, Noise(0, "oracle", ("a",))))
    return altered[0, 0, 2, 2].item()


def _of_a_sum(metric: Metric) -> float:
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
    (drops_of_a_sum_follow_its_pixels, 1.0),
    (a_sum_explained_exactly_has_no_infidelity, 0.0),
    (salience_order_of_a_sum, 1.0),
    (imputation_continues_a_ramp, 0.5),
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
