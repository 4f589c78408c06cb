"""SaCo by hand on four pixels, each a group."""

import itertools

import paper
import pytest
from paper import BLACK, NOTHING

from xai_bench.errors import InvalidValueError
from xai_bench.metrics.saco import Saco

FOUR = Saco(**BLACK, groups=4)


@pytest.mark.parametrize(
    ("relevance", "expected"),
    [
        ((4, 3, 2, 1), 1),
        ((1, 2, 3, 4), -1),
        ((-1, -2, -3, -4), 1),
        # groups in order of saliency 4 3 2 1 cost .4 .2 .1 .3: pairs +1 +2 +3 +1 -2 -1 of 10
        ((4, 1, 3, 2), 4 / 10),
        # saliency 9 1 0 0 with its two zeros in either order: the first costs most, .3 follows .4
        ((9, 1, 0, 0), 1),
    ],
)
def test_by_hand(relevance, expected):
    # hiding a pixel of the sum costs its value: .4 .3 .2 .1
    assert paper.scored(FOUR, relevance) == pytest.approx([expected])


def test_groups_that_all_cost_the_same_say_nothing_of_a_map():
    # d_i >= d_j would hold of every pair, and any map would score 1
    assert paper.reasons(FOUR, (4, 1, 3, 2), NOTHING) == ("all drops are equal",)


def test_a_random_map_is_expected_to_score_nothing():
    orders = list(itertools.permutations((5.0, 1.0, 0.5, 0.0)))

    assert sum(paper.scored(FOUR, orders)) == pytest.approx(0, abs=1e-9)


def test_unequal_groups_are_compared_by_their_means():
    # three groups of 1, 2 and 1 pixels (edges floor(4 g / 3 + 1/2) = 0 1 3 4) with means 1, .95, .9; totals 1, 1.9, .9
    # cost .1, .3 + .4 and .2: pairs -.05 -.1 +.05 of .2
    assert paper.scored(Saco(**BLACK, groups=3), (0.95, 0.95, 0.9, 1.0)) == pytest.approx([-0.1 / 0.2])


def test_both_bounds_are_reached_on_a_linear_model():
    metric = Saco(**BLACK)
    perfect = paper.on_linear(metric).values
    worst = paper.on_linear(metric, lambda maps: -maps).values

    assert perfect.tolist() == pytest.approx([1.0] * 4)
    assert worst.tolist() == pytest.approx([-1.0] * 4)


def test_what_makes_no_groups_is_undefined():
    assert paper.reasons(FOUR, (1, 1, 1, 1)) == ("map is constant",)
    assert paper.reasons(Saco(**BLACK), (4, 3, 2, 1)) == ("fewer pixels than groups",)
    with pytest.raises(InvalidValueError, match="groups of saco must be at least 2, got 1"):
        Saco(groups=1)
