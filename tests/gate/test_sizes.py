"""How many images a gate needs: against the textbook's formula, a count on paper, and the gate's own tests."""

import math

import numpy as np
import pytest
from scipy import special, stats

from xai_bench.gate import sizes
from xai_bench.gate.sizes import Spread, tells, to_catch, to_decide, to_pass
from xai_bench.gate.worsening import estimate

ALPHA = 0.05
DRAWS = 400
WITHIN = 0.045  # three standard errors of a share of 0.9 in 400 draws


def z(p):
    return stats.norm.ppf(p)


@pytest.mark.parametrize("cells", [1, 30])
def test_many_normal_images_need_what_the_textbook_says(cells):
    spread, level = Spread(10.0), ALPHA / cells

    assert to_catch(spread, 1.0, level) == pytest.approx(((z(1 - level) + z(0.9)) * 10 / 2) ** 2, rel=0.02)
    assert to_pass(spread, 1.0, ALPHA) == pytest.approx(((z(1 - ALPHA) + z(0.9)) * 10) ** 2, rel=0.005)


def test_where_the_test_asks_for_little_the_margin_decides():
    assert to_catch(Spread(10.0), 1.0, 0.5) == pytest.approx((z(0.9) * 10) ** 2, abs=1)


def test_many_hits_need_what_connor_says():
    apart, worse, level = 0.4, 0.1, ALPHA / 6
    found = to_catch(Spread(math.sqrt(apart), hits=True), worse / 2, level)
    connor = ((z(1 - level) * math.sqrt(apart) + z(0.9) * math.sqrt(apart - worse**2)) / worse) ** 2

    assert found == pytest.approx(connor + 2 / worse, rel=0.02)  # 2 / difference: an exact test has whole numbers


def test_where_every_hit_is_lost_ten_images_reach_one_in_a_thousand():
    every = Spread(1.0, hits=True)

    assert 2**-10 < 0.001 < 2**-9
    assert to_catch(every, 0.5, 0.001) == 10


def test_at_least_six_images_and_as_many_as_signs_need():
    assert to_catch(Spread(1e-6), 1.0, ALPHA) == 6
    assert to_catch(Spread(1e-6), 1.0, 0.001) == 10
    assert to_pass(Spread(1e-6), 1.0, ALPHA) == 6


def test_no_number_of_images_tells_a_margin_of_zero():
    for spread in (Spread(1.0), Spread(0.5, hits=True)):
        assert to_catch(spread, 0.0, ALPHA) == math.inf
        assert to_pass(spread, 0.0, ALPHA) == math.inf


@pytest.mark.parametrize("sd", [2.0, 5.0])
def test_nine_of_ten_worsenings_of_twice_the_margin_are_caught(sd):
    level = ALPHA / 30
    n = int(to_catch(Spread(sd), 1.0, level))
    drawn = np.random.default_rng(1).normal(2.0, sd, (DRAWS, n))
    found = [estimate(worsenings, ALPHA) for worsenings in drawn]

    assert np.mean([one.p < level and one.mean > 1 for one in found]) == pytest.approx(0.9, abs=WITHIN)


def test_few_images_convince_flipped_signs_too():
    level = ALPHA / 30
    n = int(to_catch(Spread(1.0), 1.0, level))
    drawn = np.random.default_rng(4).normal(2.0, 1.0, (DRAWS, n))

    assert np.mean([estimate(one, ALPHA).p < level for one in drawn]) > 0.9


def test_nine_of_ten_unchanged_cells_pass():
    n = int(to_pass(Spread(5.0), 1.0, ALPHA))
    drawn = np.random.default_rng(2).normal(0.0, 5.0, (DRAWS, n))

    assert np.mean([estimate(one, ALPHA).high < 1 for one in drawn]) == pytest.approx(0.9, abs=WITHIN)


def changes(apart, worse, n):
    """(DRAWS, n) worsenings of hits: -1, 0 and 1 with mean `worse`."""
    shares = [(apart - worse) / 2, 1 - apart, (apart + worse) / 2]
    return np.random.default_rng(3).choice([-1.0, 0.0, 1.0], (DRAWS, n), p=shares)


@pytest.mark.parametrize(("apart", "margin"), [(0.02, 0.05), (0.2, 0.05), (0.2, 0.1)])
def test_nine_of_ten_changes_of_hits_are_judged_right(apart, margin):
    spread, level = Spread(math.sqrt(apart), hits=True), ALPHA / 6
    catch, clear = int(to_catch(spread, margin, level)), int(to_pass(spread, margin, ALPHA))
    worse = [estimate(one, ALPHA, hits=True) for one in changes(max(apart, 2 * margin), 2 * margin, catch)]
    same = [estimate(one, ALPHA, hits=True) for one in changes(apart, 0, clear)]

    assert np.mean([one.p < level and one.mean > margin for one in worse]) == pytest.approx(0.9, abs=WITHIN)
    assert np.mean([one.high < margin for one in same]) == pytest.approx(0.9, abs=WITHIN)


@pytest.mark.parametrize("spread", [Spread(0.2), Spread(0.4, hits=True)])
def test_the_margin_that_images_tell_needs_that_many(spread):
    margin, level = 0.03, ALPHA / 10
    n = int(max(to_catch(spread, margin, level), to_pass(spread, margin, ALPHA)))

    assert tells(spread, n, level, ALPHA) == pytest.approx(margin, rel=0.01)
    assert tells(spread, 5, level, ALPHA) == math.inf


def test_wider_margins_need_fewer_images_and_more_cells_more():
    spread = Spread(0.2)

    assert to_catch(spread, 0.04, ALPHA) < to_catch(spread, 0.02, ALPHA) < to_catch(spread, 0.02, ALPHA / 30)
    assert to_pass(spread, 0.04, ALPHA) < to_pass(spread, 0.02, ALPHA)


def test_the_unit_of_a_metric_plays_no_part():
    assert to_catch(Spread(20.0), 3.0, 0.01) == to_catch(Spread(0.2), 0.03, 0.01)
    assert to_pass(Spread(20.0), 3.0, 0.01) == to_pass(Spread(0.2), 0.03, 0.01)


class TestToDecide:
    """Images that would decide a cell whose worsening is what was measured; the margin is 0.02 or less."""

    def of(self, worse, margin, *, sd=0.2, cells=1):
        return to_decide(worse, Spread(sd), margin, level=ALPHA / cells, alpha=ALPHA)

    def test_of_nothing_and_of_twice_the_margin_it_is_what_was_planned(self):
        assert self.of(0.0, 0.02) == to_pass(Spread(0.2), 0.02, ALPHA)
        assert self.of(0.04, 0.02, cells=30) == to_catch(Spread(0.2), 0.02, ALPHA / 30)

    def test_below_the_margin_it_is_the_room_that_is_left(self):
        assert self.of(0.01, 0.02) == self.of(-0.01, 0.0) == self.of(0.0, 0.01)
        assert self.of(0.01, 0.02) == pytest.approx(((z(0.95) + z(0.9)) * 0.2 / 0.01) ** 2, rel=0.005)

    def test_far_above_the_margin_it_is_what_the_test_needs(self):
        textbook = ((z(1 - ALPHA / 30) + z(0.9)) * 0.2 / 0.1) ** 2

        assert (
            textbook < self.of(0.1, 0.01, cells=30) < textbook + z(1 - ALPHA / 30) ** 2 + 2
        )  # Guenther 1981, and more

    def test_just_above_the_margin_the_mean_must_stay_there(self):
        assert self.of(0.1, 0.09) == pytest.approx((z(0.9) * 0.2 / 0.01) ** 2, rel=0.005)

    def test_no_number_tells_a_worsening_that_is_the_margin_or_unknown(self):
        assert self.of(0.02, 0.02) == self.of(0.02 - 1e-17, 0.02, sd=1e-17) == self.of(0.0, 0.0) == math.inf
        assert self.of(math.nan, 0.02) == self.of(0.1, 0.02, sd=math.nan) == math.inf

    def test_hits_of_which_some_are_won_and_more_lost_need_what_connor_says(self):
        lost, won, level = 0.2, 0.1, ALPHA / 30
        found = to_decide(lost - won, Spread(math.sqrt(0.3), hits=True), 0.02, level=level, alpha=ALPHA)
        connor = ((z(1 - level) * math.sqrt(0.3) + z(0.9) * math.sqrt(0.3 - 0.01)) / 0.1) ** 2

        assert connor < found < connor + 2 / 0.1  # an exact test has whole numbers

    @pytest.mark.parametrize("hits", [False, True])
    def test_what_did_not_decide_is_fewer_than_what_would(self, hits):
        open_cells = 0
        counts = [(w, b, n - w - b) for n in (6, 11, 20) for w in range(n) for b in range(min(n - w, 4))]
        for worse_better_same in counts:
            found = estimate(np.repeat([1.0, -1.0, 0.0], worse_better_same), ALPHA, hits=hits)
            for margin, cells in ((0.02, 1), (0.02, 30), (0.2, 1), (0.2, 30)):
                if found.high < margin or (found.p * cells < ALPHA and found.mean > margin):
                    continue
                asked = to_decide(found.mean, found.spread, margin, level=ALPHA / cells, alpha=ALPHA)
                open_cells += 1
                assert asked > sum(worse_better_same)
        assert open_cells > 100


def test_many_hits_are_looked_at_every_so_often_only():
    thinned = to_pass(Spread(0.5, hits=True), 0.02, ALPHA)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "LOOKED_AT", 10**6)

        assert thinned == pytest.approx(to_pass(Spread(0.5, hits=True), 0.02, ALPHA), rel=0.005)


@pytest.mark.parametrize("level", [0.4, 0.05, 0.05 / 30, 1e-6])
def test_the_fewest_losses_are_those_of_the_exact_test(level):
    changed = np.arange(1, 600)
    fewest = sizes._critical(changed, level)
    there = fewest <= changed

    assert (special.bdtrc(fewest - 1, changed, 0.5)[there] < level).all()
    assert (special.bdtrc(fewest - 2, changed, 0.5)[there & (fewest > 1)] >= level).all()
    assert (0.5 ** changed[~there] >= level).all()
