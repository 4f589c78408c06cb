"""Metrics of a whole set: their swap test on paper, how often it is wrong, and the margin a user gets who sets none."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import stats
from scored_runs import CARDS, cell, run, set_cell

from benchmarks.gate import ALPHA, SETS, set_alarms
from xai_bench.gate import Margins, sets
from xai_bench.gate.sets import compared, contribution, swap_test
from xai_bench.reductions import REDUCTIONS, additive
from xai_bench.setup_gate import margins_file

RNG = np.random.default_rng(5)
KINDS = {kind.name: kind for kind in SETS}
ENTROPY = {"name": "class_entropy", "better": "higher", "low": 0.0, "high": None, "scope": "set"}


def column(*classes):
    return np.array([classes], np.float64).T


def swapped_straight(reduction, then, now):
    """Number then - number now of every pattern of swaps, one by one; of none first."""
    reduce = REDUCTIONS[reduction]
    sides = (
        (np.where(s, now, then), np.where(s, then, now)) for s in map(as_column, product((0, 1), repeat=len(then)))
    )
    return np.array([reduce(before) - reduce(after) for before, after in sides])


def as_column(pattern):
    return np.array(pattern, bool)[:, None]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_of_sums_every_reduction_is_what_it_is_of_records(name):
    records = RNG.integers(1, 6, (30, 2)).astype(np.float64)
    rows = RNG.integers(30, size=(40, 30))  # two blocks
    parts, number = additive(name, records)
    sums = np.array([np.bincount(drawn, minlength=30) for drawn in rows]).astype(parts.dtype) @ parts

    assert number(sums) == pytest.approx([REDUCTIONS[name](records[drawn]) for drawn in rows], abs=1e-12)


def test_a_ratio_over_nothing_is_no_number():
    parts, number = additive("ratio", np.array([[1.0, 0.0], [1.0, 1.0]]))

    assert np.isnan(number(2 * parts[:1]))
    assert number(parts[1:]) == 1


class TestOnPaper:
    def test_two_images_prove_nothing(self):
        """Swap one, both or none: entropies are log 2 and 0, or 0 and log 2, or equal; a quarter is as bad."""
        assert compared("class_entropy", column(0, 1), column(2, 2), 1.0, ALPHA).p == pytest.approx(1 / 4)

    def test_two_images_of_a_ratio(self):
        """(2 + 2) / 2 from (1 + 1) / 2: Student's standard error is 0, and its p with it."""
        then, now = np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([[2.0, 1.0], [2.0, 1.0]])

        assert compared("ratio", then, now, -1.0, ALPHA).p == 1 / 4
        assert compared("ratio", now, then, -1.0, ALPHA).p == 1

    def test_three_images(self):
        """From three classes to one: only the eighth that swaps nothing is as bad."""
        assert compared("class_entropy", column(0, 1, 2), column(3, 3, 3), 1.0, ALPHA).p == pytest.approx(1 / 8)

    def test_one_image_is_as_likely_better(self):
        assert compared("ratio", np.array([[1.0, 1.0]]), np.array([[2.0, 1.0]]), -1.0, ALPHA).p == 1 / 2

    def test_images_with_equal_records_play_no_part(self):
        then, now = column(0, 1, 2, *[4] * 50), column(3, 3, 3, *[4] * 50)

        assert compared("class_entropy", then, now, 1.0, ALPHA).p == 1 / 8

    @pytest.mark.parametrize("apart", [4, 10])
    def test_all_patterns_one_by_one(self, apart):
        then, now = column(*range(apart)), column(*[0] * apart) + apart
        now[::2] = then[::2] // 2 + apart
        straight = swapped_straight("class_entropy", then, now)
        both = additive("class_entropy", np.concatenate([then, now]))
        before, after = sets._swaps(both.parts[:apart], both.parts[apart:])
        found = both.number(before) - both.number(after)

        assert found[0] == pytest.approx(straight[0])
        assert np.sort([*found, *-found]) == pytest.approx(np.sort(straight), abs=1e-12)
        assert swap_test(found, found[0], apart) == (straight >= straight[0] - 1e-9).mean()


class TestRare:
    """Beyond ten images: a share of random patterns, which never gets small enough for many cells."""

    def test_the_normal_distribution_says_how_small_p_is(self):
        draws = np.concatenate([[0.5], np.random.default_rng(0).normal(0, 0.1, 512)])

        assert swap_test(draws, 0.5, 40) == pytest.approx(stats.norm.sf(0.5 / np.sqrt((draws**2).mean())))

    def test_but_never_less_than_one_pattern_of_all(self):
        assert swap_test(np.array([9.0, *[0.01, -0.01] * 256]), 9.0, 11) == 2.0**-11

    def test_a_pattern_without_a_number_counts_as_worse(self):
        assert swap_test(np.array([0.5, 0.1, np.nan, 0.2]), 0.5, 3) == 3 / 8


@pytest.mark.parametrize(("name", "n"), [("entropy of 100 classes", 20), ("ratio of hits, 30 % to 70 %", 20)])
def test_an_unchanged_model_is_red_at_most_as_often_as_alpha_says(name, n):
    """By the standard error of images drawn again alone, 10 % of the entropies."""
    checks = 6
    share = set_alarms(KINDS[name], n, checks)[1] / 100

    assert 0.01 < share <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / (100 * checks))


def test_a_model_that_falls_back_on_few_classes_is_found_among_many_cells():
    """p is small enough for a hundred cells."""
    then = RNG.integers(100, size=(200, 3)).astype(np.float64)

    assert compared("class_entropy", then, then // 20, 1.0, ALPHA).p < ALPHA / 1e4


class TestMargin:
    def of(self, records, **card):
        row, points = set_cell(records, REDUCTIONS["class_entropy"](records), metric="class_entropy")
        one = run(row, cell([0.5, 0.5]), curves=[points])
        return replace(one, cards=CARDS | {"class_entropy": ENTROPY | {"reduction": "class_entropy"} | card})

    def test_a_tenth_of_what_one_image_adds(self):
        """Half of the images of one class, a quarter each of two: -log p has the standard deviation log(2) / 2."""
        one = self.of(column(*[0, 0, 1, 2] * 500))

        assert Margins().of("class_entropy", one) == pytest.approx(0.1 * np.log(2) / 2, rel=0.1)

    def test_of_a_mean_it_is_the_spread_of_its_records(self):
        records = RNG.normal(size=(300, 2))

        assert contribution("mean", records).sd == pytest.approx(records.mean(axis=1).std(), rel=0.1)

    def test_without_records_or_with_one_nothing_is_known(self):
        assert Margins().of("class_entropy", self.of(column(1, 1, 1))) == 0
        assert np.isnan(contribution("ratio", np.ones((1, 2))).sd)

    def test_the_file_says_where_it_comes_from(self):
        one = self.of(column(*[0, 0, 1, 2] * 500))
        text = margins_file.text(margins_file.written(one), one)

        assert "a tenth of the standard deviation of what one image adds to the set's number, 0.3" in text
        same = self.of(column(1, 1, 1))
        assert "nothing is known of what one image adds" in margins_file.text(margins_file.written(same), same)
