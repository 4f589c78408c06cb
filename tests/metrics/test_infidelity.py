"""Infidelity by hand."""

import dataclasses

import paper
import pytest
import torch
from paper import BLACK, NOTHING, SQUARES

from xai_bench.errors import InvalidValueError
from xai_bench.metrics import score
from xai_bench.metrics.infidelity import Infidelity
from xai_bench.oracles import PIXELS, Linear, as_model
from xai_bench.removal import Fill, LayerMasking

ONE = Infidelity(**BLACK, size=1, samples=50)
PLAIN = dataclasses.replace(ONE, normalise=False)
VALUES = torch.tensor([0.4, 0.3, 0.2, 0.1])
EVERY = [
    Infidelity(**BLACK, samples=20, shape=shape, normalise=normalise)
    for shape in ("square", "pixels")
    for normalise in (False, True)
]


def drawn(metric=ONE):
    """Which of the four pixels each draw hides."""
    return (~metric.questions[0].keep(paper.case(), 0)).flatten(1).int().argmax(1)


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: f"{metric.shape} {metric.normalise}")
def test_the_exact_map_of_a_linear_model_has_none(metric):
    assert paper.on_linear(metric).values.tolist() == pytest.approx([0.0] * 4, abs=1e-9)
    assert (paper.on_linear(metric, lambda maps: maps.flip(1)).values > 0.1).all()


@pytest.mark.parametrize("colour", ["black", "white", (0.2, 0.5, 0.9)])
def test_the_gradient_of_a_linear_model_has_none_whatever_replaces_the_pixels(colour):
    # one weight for all colours of a pixel, so that a map with one value per pixel can hold the gradient
    weights = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    metric = Infidelity(Fill(colour), size=1, perturbation="difference", normalise=False, output="logit")
    found = paper.scored(metric, weights, Linear(weights.expand(3, 2, 2).clone()))

    assert found == pytest.approx([0.0], abs=1e-12)


def test_the_squares_of_what_the_map_misses_are_averaged():
    # hiding pixel i costs v_i and the map says m_i
    relevance = torch.tensor([1.0, 0.0, 0.5, 0.1])
    expected = (relevance - VALUES)[drawn()].square().mean().item()

    assert paper.scored(PLAIN, relevance) == pytest.approx([expected], abs=1e-6)


def test_normalising_scales_the_map_as_well_as_can_be():
    relevance = torch.tensor([1.0, 0.0, 0.5, 0.1])
    said, cost = relevance[drawn()], VALUES[drawn()]
    factors = torch.linspace(-2, 2, 4001)
    best = (factors[:, None] * said - cost).square().mean(1).min().item()

    assert paper.scored(ONE, relevance) == pytest.approx([best], abs=1e-6)


def test_twice_the_map_is_wrong_by_the_drop_itself_unless_normalised():
    expected = VALUES[drawn()].square().mean().item()

    assert paper.scored(PLAIN, 2 * PIXELS) == pytest.approx([expected], abs=1e-6)
    assert paper.scored(ONE, 2 * PIXELS) == pytest.approx([0.0], abs=1e-12)


@pytest.mark.parametrize("scale", [2.0**-20, 2.0**20])
def test_the_scale_of_the_map_does_not_count_if_normalised(scale):
    relevance = torch.tensor([1.0, 0.0, 0.5, 0.1])

    assert paper.scored(ONE, relevance * scale) == pytest.approx(paper.scored(ONE, relevance), abs=1e-12)


def test_a_map_and_its_negative_are_wrong_by_the_map_and_the_drop():
    # ((m - v)^2 + (-m - v)^2) / 2 = m^2 + v^2: what a map of random sign is expected to score
    relevance = torch.tensor([0.7, 0.2, 0.5, 0.1])
    expected = (relevance.square() + VALUES.square())[drawn()].mean().item()

    assert sum(paper.scored(PLAIN, torch.stack([relevance, -relevance]))) / 2 != pytest.approx(expected, abs=1e-3)
    both = paper.scored(PLAIN, relevance) + paper.scored(PLAIN, -relevance)
    assert sum(both) / 2 == pytest.approx(expected, abs=1e-6)


def test_an_additive_model_needs_no_gradient():
    # of a sum of squares each pixel's share is its square
    assert paper.scored(ONE, PIXELS**2, SQUARES) == pytest.approx([0.0], abs=1e-12)


def test_a_map_that_is_0_wherever_hidden_cannot_be_scaled():
    # the two squares of side 1 never meet the pixels that have relevance
    few = dataclasses.replace(ONE, samples=2)
    elsewhere = torch.ones(4)
    elsewhere[drawn(few)] = 0.0

    assert paper.reasons(few, elsewhere) == ("map is 0 wherever hidden",)
    assert paper.reasons(dataclasses.replace(few, normalise=False), elsewhere) == ("",)


def test_a_model_that_sees_nothing_is_predicted_by_no_map():
    # the drop is 0: a map is wrong by itself, and scaled to 0 any would be right
    assert paper.scored(PLAIN, PIXELS, NOTHING) == pytest.approx([VALUES[drawn()].square().mean().item()])
    assert paper.reasons(ONE, PIXELS, NOTHING) == ("all drops are 0",)


def test_with_the_best_factor_a_map_and_its_negative_score_alike():
    assert paper.scored(ONE, PIXELS) == pytest.approx(paper.scored(ONE, -PIXELS))
    assert paper.scored(PLAIN, -PIXELS)[0] > paper.scored(PLAIN, PIXELS)[0]


def test_the_error_is_the_spread_over_other_draws():
    relevance = torch.tensor([1.0, 0.0, 0.5, 0.1])
    found = [score(PLAIN, paper.case(relevance, seed=seed)) for seed in range(60)]
    spread = torch.cat([one.values for one in found]).std().item()

    assert torch.cat([one.errors for one in found]).mean().item() == pytest.approx(spread, rel=0.25)


def test_differences_need_pixels_that_are_replaced():
    model = as_model(torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()))

    assert "'layer_masking'; use perturbation 'mask'" in Infidelity(LayerMasking(), perturbation="difference").unfit(
        model
    )
    assert Infidelity(perturbation="difference").unfit(model) == ""


def test_impossible_parameters_are_refused():
    with pytest.raises(InvalidValueError, match="size of infidelity must be a share"):
        Infidelity(size=0)
    with pytest.raises(InvalidValueError, match="samples of infidelity must be at least 2, got 1"):
        Infidelity(samples=1)
