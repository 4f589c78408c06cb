"""How often the gate is wrong, in a few hundred simulated checks; `benchmarks/gate.py` has the thousands."""

import numpy as np
import pytest

from benchmarks.gate import (
    ALPHA,
    CHANGES,
    PIECES,
    UNCHANGED,
    Change,
    Kind,
    ends,
    false_alarms,
    found,
    is_red,
    least_p,
    of_hits,
)
from xai_bench.gate.sizes import Spread, to_decide
from xai_bench.gate.verdicts import judged

CHECKS = 100
WITHIN = 0.045  # three standard errors of a share of 0.9 in 400 checks
KINDS = {kind.name: kind for kind in UNCHANGED}


def three_of_twenty(rng, n, cells):
    """Three images change by as much, better or worse; no other does."""
    then = np.full((n, cells), 0.5)
    change = np.where(rng.random((3, cells)) < 0.5, 0.2, -0.2)
    return then, then + np.concatenate([change, np.zeros((n - 3, cells))])


FEW = Kind("three images change", three_of_twenty, 0.02)


@pytest.mark.parametrize("n", [20, 50])
@pytest.mark.parametrize("kind", [KINDS["beta(2, 5)"], KINDS["four values"], FEW], ids=lambda kind: kind.name)
def test_an_unchanged_model_is_red_at_most_as_often_as_alpha_says(kind, n):
    shares = false_alarms(kind, n, CHECKS)

    for (_, cells), share in shares.items():
        checks = CHECKS * PIECES[cells]
        assert share / 100 <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / checks)


def test_many_cells_are_corrected_for():
    """Every check judged, none left out beforehand: without a correction four in five would be red."""
    rng, draw = np.random.default_rng(0), KINDS["beta(2, 5)"].draw
    red = [is_red(now - then, 0.0) for then, now in (draw(rng, 20, 30) for _ in range(CHECKS))]

    assert np.mean(red) <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / CHECKS)


def test_three_images_that_change_alike_are_no_evidence_at_all():
    """All three worse has a chance of 1 in 8, whatever Student says."""
    worsenings = np.array([0.2] * 3 + [0.0] * 17)

    assert least_p(worsenings[:, None], hits=False)[0] == pytest.approx(0.0414, abs=1e-4)
    assert found(worsenings, 0.0).estimate.p == pytest.approx(1 / 8)


def test_hits_are_red_at_most_as_often_as_alpha_says():
    shares = false_alarms(KINDS["hits, 30 % change"], 50, CHECKS)

    assert max(shares.values()) <= 100 * ALPHA  # the exact test is below alpha, not at it


def test_all_of_the_level_is_used():
    """What rejects nothing has no false alarms either: one cell alone is red about as often as alpha says."""
    assert 3.5 < false_alarms(KINDS["beta(2, 5)"], 50, CHECKS)[False, 1] < 6.5


@pytest.mark.parametrize("cells", [1, 30])
def test_twice_the_margin_is_found_where_differences_spread_by_five(cells):
    whole, first = ends(200, cells, Change(2.0, Spread(5.0)), checks=60)

    assert first["regression"] >= 54
    assert whole["regression"] >= first["regression"]


def test_an_unchanged_model_passes_where_differences_spread_by_one_margin():
    assert ends(200, 6, Change(0.0, Spread(1.0)), checks=60)[0] == {"pass": 60}


AMONG_30 = ("by 1.5, spread 1", "by 3, spread 2")


@pytest.mark.parametrize(("name", "cells"), [*((name, 1) for name in CHANGES), *((name, 30) for name in AMONG_30)])
def test_so_many_images_as_are_asked_for_decide_nine_times_in_ten(name, cells):
    change = CHANGES[name]
    n = change.needed(cells)
    _, first = ends(n, cells, change, checks=400)
    right = sum(first[verdict] for verdict in change.right) / 400

    assert right > 0.9 - WITHIN
    assert right < 0.9 + WITHIN or n < 50  # of few images one more is much


@pytest.mark.parametrize("change", [Change(1.0, Spread(5.0)), of_hits(0.15, 0.05)], ids=["normal", "hits"])
def test_a_cell_that_may_be_a_regression_asks_for_images_among_all_that_were_tested(change):
    drawn = change.draw(np.random.default_rng(0), 20, 30).T
    cells = [found(w, change.margin, hits=change.spread.hits) for w in drawn]
    level = ALPHA / len(cells)
    verdicts = judged(cells, ALPHA, 0.0)

    assert any(one.verdict == "undecided" and one.worse > one.margin for one in verdicts)
    for cell, one in zip(cells, verdicts, strict=True):
        asked = to_decide(one.worse, cell.estimate.spread, one.margin, level=level, alpha=ALPHA)
        assert one.verdict != "undecided" or one.needed == asked


@pytest.mark.parametrize("kind", UNCHANGED, ids=lambda kind: kind.name)
def test_no_p_is_below_the_one_that_the_simulation_looks_at_first(kind):
    then, now = kind.draw(np.random.default_rng(0), 20, 30)
    cells = [found(column, 0.0, hits=kind.hits) for column in (now - then).T]
    least = least_p(now - then, hits=kind.hits)

    assert all(cell.equal or cell.estimate.p >= p - 1e-9 for cell, p in zip(cells, least, strict=True))
