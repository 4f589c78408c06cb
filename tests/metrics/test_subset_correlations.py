"""Faithfulness correlation and estimate, MuFidelity, sensitivity-n: values by hand."""

import itertools
import math

import numpy as np
import paper
import pytest
import torch
from paper import ALONE, AND, BLACK, NOTHING, SQUARES, WHITE, XOR

from xai_bench.engine import Case, Cells, Patch, Pixel, Scene
from xai_bench.errors import InvalidValueError
from xai_bench.metrics import score
from xai_bench.metrics.faithfulness_correlation import FaithfulnessCorrelation
from xai_bench.metrics.faithfulness_estimate import FaithfulnessEstimate
from xai_bench.metrics.mu_fidelity import MuFidelity
from xai_bench.metrics.sensitivity_n import SensitivityN
from xai_bench.oracles import IMAGE, PIXELS, Sum, as_model
from xai_bench.types import Batch

ESTIMATE = FaithfulnessEstimate(**ALONE)
EVERY = [
    FaithfulnessCorrelation(**ALONE, size=0.3, samples=30),
    FaithfulnessCorrelation(**ALONE, size=0.3, samples=30, similarity="spearman"),
    ESTIMATE,
    FaithfulnessEstimate(**BLACK, unit=Cells(2), similarity="spearman"),
    MuFidelity(**BLACK, samples=50),
    SensitivityN(**ALONE, sizes=(1, 0.2, 0.8), samples=30),
]
every = pytest.mark.parametrize("metric", EVERY, ids=lambda metric: f"{metric.card.name} {metric.similarity}")


@every
def test_the_perfect_map_of_a_linear_model_reaches_both_bounds(metric):
    # hiding pixels in black costs a linear model what they add, so sums and drops are the same numbers
    perfect, worst = paper.on_linear(metric), paper.on_linear(metric, torch.neg)

    assert perfect.values.tolist() == pytest.approx([1.0] * 4, abs=1e-6 if metric.similarity == "pearson" else 1e-3)
    assert worst.values.tolist() == pytest.approx((-perfect.values).tolist(), abs=1e-12)


@every
@pytest.mark.parametrize("power", [-20, 3, 20])
def test_positive_rescaling_changes_nothing(metric, power):
    # by powers of two: float32 holds the rescaled map exactly, so that it is the same map
    def change(maps, scale=1.0):
        return torch.rand(maps.shape, generator=torch.Generator().manual_seed(1)) * scale

    rescaled = paper.on_linear(metric, lambda maps: change(maps, 2.0**power)).values

    assert rescaled.tolist() == pytest.approx(paper.on_linear(metric, change).values.tolist(), abs=1e-12)


@pytest.mark.parametrize(
    ("module", "image", "relevance", "expected"),
    [
        # drops .4 .3 .2 .1 against 1 2 3 4
        (Sum(), IMAGE, (1, 2, 3, 4), -1),
        # drops, centred: .15 .05 -.05 -.15; map, centred: 1.5 -1.5 .5 -.5; products sum to .2; squares .05 and 5
        (Sum(), IMAGE, (4, 1, 3, 2), 0.2 / math.sqrt(0.05 * 5)),
        # drops of the squares: .16 .09 .04 .01
        (SQUARES, IMAGE, (16, 9, 4, 1), 1),
        # both of two exclusive pixels are there: without either the logit rises from 0 to 1
        (XOR, WHITE, (1, 1, 0, 0), -1),
        (XOR, WHITE, (-1, -1, 0, 0), 1),
        # either of two needed pixels costs 1, though together they cost no more
        (AND, WHITE, (1, 1, 0, 0), 1),
        # drops 1 1 0 0 against 1 0 0 0: cov 1/2, squares 1 and 3/4
        (AND, WHITE, (1, 0, 0, 0), 0.5 / math.sqrt(0.75)),
    ],
)
def test_the_estimate_by_hand(module, image, relevance, expected):
    assert paper.scored(ESTIMATE, relevance, module=module, images=image) == pytest.approx([expected], abs=1e-6)


def test_the_estimate_by_ranks():
    # drops rank 4 3 2 1, map 4 1 3 2: 1 - 6 (0 + 4 + 1 + 1) / (4 15)
    ranked = FaithfulnessEstimate(**ALONE, similarity="spearman")

    assert paper.scored(ranked, (9, 1, 8, 2)) == pytest.approx([1 - 6 * 6 / 60])


@pytest.mark.parametrize("similarity", ["pearson", "spearman"])
def test_a_random_map_is_expected_to_score_nothing(similarity):
    # every order of the same four numbers is as likely: the sum of centred values over all of them is 0
    metric = FaithfulnessEstimate(**ALONE, similarity=similarity)
    orders = list(itertools.permutations((5.0, 1.0, 0.5, 0.0)))
    found = paper.scored(metric, orders)

    assert sum(found) == pytest.approx(0, abs=1e-9)
    assert max(found) > 0.7


def test_a_subset_of_two_needed_pixels_costs_no_more_than_one():
    # the map counts how many of the two are hidden, the drop only whether any is; counts are those that were drawn
    metric = FaithfulnessCorrelation(**ALONE, size=2, samples=60)
    looked = paper.case((1, 1, 0, 0), AND, WHITE)
    hits = (~metric.questions[0].keep(looked, 0)).flatten(1)[:, :2].sum(1).numpy()
    assert set(hits) == {0, 1, 2}
    expected = np.corrcoef(hits, np.minimum(hits, 1))[0, 1]

    assert score(metric, looked).values.tolist() == pytest.approx([expected], abs=1e-6)
    assert expected < 0.95


def test_sensitivity_is_the_mean_over_the_sizes():
    one, two = (FaithfulnessCorrelation(**ALONE, size=size, samples=60) for size in (1, 2))
    both = SensitivityN(**ALONE, sizes=(1, 2), samples=60)
    given = {"maps": (1, 0, 0, 3), "module": AND, "images": WHITE}
    expected = (paper.scored(one, **given)[0] + paper.scored(two, **given)[0]) / 2

    assert paper.scored(both, **given) == pytest.approx([expected], abs=1e-12)
    assert paper.scored(one, **given) != pytest.approx([expected], abs=0.01)


def test_one_size_without_a_correlation_leaves_none():
    # of four pixels any three hold one of the two that are needed: the drop is 1 whatever is hidden
    given = {"maps": (1, 1, 0, 0), "module": AND, "images": WHITE}

    assert paper.reasons(SensitivityN(**ALONE, sizes=(1, 2), samples=60), **given) == ("",)
    assert paper.reasons(SensitivityN(**ALONE, sizes=(1, 3), samples=60), **given) == ("all drops are equal",)


@every
def test_what_cannot_be_correlated_is_undefined_and_not_0(metric):
    # Xplique returns 0 here, Quantus nan without a word
    assert paper.reasons(metric, (1, 2, 3, 4), NOTHING) == ("all drops are equal",)


def test_equal_sums_and_whole_images_are_undefined():
    checks, whole = (1, 0, 0, 1), FaithfulnessCorrelation(**ALONE, size=9, samples=5)
    halves = FaithfulnessEstimate(**BLACK, unit=Patch(2))

    assert paper.reasons(whole, checks) == ("all subset sums are equal",)
    assert paper.reasons(halves, checks) in (("all subset sums are equal",), ("all units are equally relevant",))


def test_a_model_of_one_class_is_undefined():
    one = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1))
    given = Case(Scene(as_model(one), Batch(IMAGE, ("a",))), PIXELS)
    estimate = {"removal": BLACK["removal"], "unit": Pixel()}

    # the probability is 1 whatever is hidden, and the log odds are infinite
    assert score(FaithfulnessEstimate(**estimate), given).reasons == ("all drops are equal",)
    assert score(FaithfulnessEstimate(**estimate, output="log_odds"), given).reasons == ("model output is not finite",)


def test_the_error_is_the_spread_over_other_draws():
    metric = FaithfulnessCorrelation(**ALONE, size=2, samples=40)
    found = [score(metric, paper.case((1, 0, 0, 3), AND, WHITE, seed=seed)) for seed in range(60)]
    spread = torch.cat([one.values for one in found]).std().item()

    assert torch.cat([one.errors for one in found]).mean().item() == pytest.approx(spread, rel=0.25)
    assert score(ESTIMATE, paper.case()).errors is None


def test_more_units_than_can_be_removed_alone_are_refused():
    assert "removes each of 50176 units of unit 'pixel' alone" in ESTIMATE.unfit(as_model(Sum(), (224, 224)))
    assert ESTIMATE.unfit(as_model(Sum(), (32, 32))) == ""


def test_impossible_parameters_are_refused():
    with pytest.raises(InvalidValueError, match="size of mu_fidelity must be a share"):
        MuFidelity(size=1.5)
    with pytest.raises(InvalidValueError, match="samples of faithfulness_correlation must be at least 3, got 2"):
        FaithfulnessCorrelation(samples=2)
    with pytest.raises(InvalidValueError, match="sizes of sensitivity_n must be one or more different ones"):
        SensitivityN(sizes=())
    with pytest.raises(InvalidValueError, match="each of the sizes of sensitivity_n must be a share"):
        SensitivityN(sizes=(0.1, 0))
