"""Adaptive steps: exact where they must be, bounded in number, blind to the curves beside a curve."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from xai_bench.engine import adaptive
from xai_bench.engine.adaptive import FIRST, GRID, MOST, TOLERANCE, error, filled, first, wanted

UNIT = torch.linspace(0, 1, GRID + 1, dtype=torch.float64)
NARROWEST = (
    math.isqrt(int(TOLERANCE * GRID**2)) + 1
)  # what can still be halved, in steps: the least w, (w/GRID)^2 > tolerance
HALVINGS = math.ceil(math.log2(max(b - a for a, b in itertools.pairwise(FIRST)) / (NARROWEST - 1)))


def area(values):
    return torch.trapezoid(values, UNIT, dim=1)


def refined(curves):
    """Known values (nan elsewhere, so that a look at them would show) and points after each round."""
    known = torch.zeros(curves.shape, dtype=torch.bool)
    known[:, first()] = True
    rounds = [known.clone()]
    while (new := wanted(curves.where(known, torch.nan), known)).any():
        assert not (new & known).any()
        known |= new
        rounds.append(known.clone())
    return curves.where(known, torch.nan), known, rounds


def through(points):
    """The curve with bends at some points."""
    places = sorted(points)
    known = torch.zeros(1, GRID + 1, dtype=torch.bool)
    known[:, places] = True
    values = torch.full((1, GRID + 1), torch.nan, dtype=torch.float64)
    values[:, places] = torch.tensor([points[place] for place in places], dtype=torch.float64)
    return filled(values, known)


HILLY = through(dict(zip(FIRST, (1.0, 0.9, 0.1, 0.12, 0.0), strict=True)))


def cliffs(*places):
    return torch.stack([(torch.arange(GRID + 1) < place).double() for place in places])


def slopes():
    """Falls at many places, from sheer to gentle."""
    return torch.stack(
        [torch.sigmoid((c - UNIT) * k) for c in torch.linspace(0.05, 0.95, 19) for k in (8, 20, 60, 200)]
    )


def waves():
    phase = torch.linspace(0, 3, 7, dtype=torch.float64)
    waves = [0.5 + 0.4 * torch.cos(turns * 2 * torch.pi * UNIT + p) for turns in (0.5, 1, 3, 9, 31) for p in phase]
    return torch.stack(waves)


def walks(count=40, seed=0):
    """Curves as rough as real ones: a fall with steps of random size."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(count, GRID + 1, generator=generator, dtype=torch.float64) * 0.4
    falls = torch.rand(count, 1, generator=generator, dtype=torch.float64) * 12 * UNIT
    return torch.sigmoid(3 - 2 * falls + steps.cumsum(1))


def family():
    return torch.cat([slopes(), waves(), walks(), cliffs(*range(3, GRID, 13))])


def test_the_ends_are_among_the_first_points():
    assert {0, GRID} <= set(first().tolist())
    assert first().tolist() == sorted(set(first().tolist()))


@given(st.lists(st.floats(-5, 5), min_size=len(FIRST), max_size=len(FIRST)))
def test_a_curve_whose_bends_are_first_points_comes_back(heights):
    curve = through(dict(zip(FIRST, heights, strict=True)))
    values, known, _ = refined(curve)

    torch.testing.assert_close(filled(values, known), curve, rtol=0, atol=1e-12)


@given(st.sets(st.integers(1, GRID - 1)), st.randoms(use_true_random=False))
def test_filled_is_numpys_interpolation_and_its_area_the_trapezoids_of_known_points(inside, random):
    places = [0, *sorted(inside), GRID]
    curve = through({place: random.uniform(-3, 3) for place in places})
    at = torch.tensor(places)

    assert torch.allclose(area(curve), torch.trapezoid(curve[:, at], UNIT[at]), rtol=0, atol=1e-12)
    known = torch.zeros_like(curve, dtype=torch.bool).index_fill(1, at, value=True)
    numpys = torch.from_numpy(np.interp(range(GRID + 1), places, curve[0, at]))
    assert torch.allclose(filled(curve.where(known, torch.nan), known)[0], numpys, rtol=0, atol=1e-12)


def test_a_curve_known_everywhere_is_itself():
    curves = family()
    known = torch.ones_like(curves, dtype=torch.bool)

    assert torch.equal(filled(curves, known), curves)
    assert not wanted(curves, known).any()


def test_a_cliff_is_found_to_a_narrow_piece_with_a_point_a_round():
    curves = cliffs(*range(1, GRID + 1))
    values, known, rounds = refined(curves)
    off = (area(filled(values, known)) - area(curves)).abs()

    assert off.max() <= (NARROWEST - 1) / 2 / GRID
    assert known.sum(1).max() <= len(FIRST) + HALVINGS
    assert len(rounds) <= 1 + HALVINGS
    for place, row in enumerate(known, 1):
        at = row.nonzero().flatten()
        assert at[at >= place].min() - at[at < place].max() < NARROWEST


@pytest.mark.parametrize("height", [0.0, 0.37, -12.0])
def test_a_flat_curve_asks_for_nothing_and_has_no_error(height):
    values, known, rounds = refined(torch.full((1, GRID + 1), height, dtype=torch.float64))

    assert len(rounds) == 1
    assert error(values, known).tolist() == [0]


@pytest.mark.parametrize("scale", [0.5, 1, 30])
def test_a_straight_line_has_no_error(scale):
    values, known, _ = refined(scale * (1 - UNIT)[None])

    assert error(values, known).item() == pytest.approx(0, abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.floats(0, 100))
def test_points_and_rounds_are_bounded_whatever_the_curve(seed, scale):
    generator = torch.Generator().manual_seed(seed)
    noise = scale * torch.randn(3, GRID + 1, generator=generator, dtype=torch.float64)
    _, known, rounds = refined(noise)

    assert known[:, [0, GRID]].all()
    assert known[:, 1:-1].sum(1).max() <= MOST
    assert len(rounds) <= 1 + HALVINGS
    assert min(row.nonzero().flatten().diff().min() for row in known) >= NARROWEST // 2


def test_points_are_spent_where_the_curve_falls_and_none_where_it_is_flat():
    _, known, _ = refined(cliffs(40))
    around, elsewhere = known[0, FIRST[1] : FIRST[2]], known[0, FIRST[2] :]

    assert around.sum() > 3
    assert elsewhere.nonzero().flatten().tolist() == [place - FIRST[2] for place in FIRST[2:]]


def test_points_that_fit_only_in_part_go_to_the_most_doubtful(monkeypatch):
    monkeypatch.setattr(adaptive, "MOST", len(FIRST) - 2 + 1)
    _, known, _ = refined(HILLY)

    assert set(known[0].nonzero().flatten().tolist()) - set(FIRST) == {(FIRST[1] + FIRST[2]) // 2}


def test_an_output_with_a_range_above_one_is_treated_as_if_it_were_one():
    curves = family()
    _, known, _ = refined(curves / (curves.amax(1, keepdim=True) - curves.amin(1, keepdim=True)))
    _, larger, _ = refined(curves * 50 - 7)

    assert (known != larger).double().mean() < 0.02  # ranges seen at few points are not quite those of all


def test_a_probability_that_hardly_moves_is_not_chased():
    _, known, _ = refined(cliffs(40) * TOLERANCE)

    assert known.sum() == len(FIRST)


def test_outputs_scale_the_error_and_a_shift_leaves_it():
    values, known, _ = refined(family())

    torch.testing.assert_close(error(values * 4, known), error(values, known) * 4)
    torch.testing.assert_close(error(values + 4, known), error(values, known), rtol=0, atol=1e-12)
    torch.testing.assert_close(error(-values, known), error(values, known))


def test_the_error_is_that_of_the_definition_written_out():
    curve = HILLY
    known = torch.zeros_like(curve, dtype=torch.bool).index_fill(1, first(), value=True)
    lost = []
    for place in FIRST[1:-1]:
        without = known.clone()
        without[0, place] = False
        lost.append((area(filled(curve, without)) - area(curve)).abs().item())

    assert error(curve, known).item() == pytest.approx(adaptive.SHARE * sum(lost), rel=1e-12)


def test_the_error_ranks_curves_as_the_true_error_does():
    curves = family()
    values, known, _ = refined(curves)
    off = (area(filled(values, known)) - area(curves)).abs()

    assert spearmanr(error(values, known), off).statistic > 0.5


def test_curves_do_not_depend_on_those_beside_them():
    curves = family()
    order = torch.randperm(len(curves), generator=torch.Generator().manual_seed(3))
    values, known, _ = refined(curves)
    shuffled, points, _ = refined(curves[order])

    assert torch.equal(points, known[order])
    assert torch.equal(filled(shuffled, points), filled(values, known)[order])
    assert torch.equal(error(shuffled, points), error(values, known)[order])
    alone = [error(*refined(curve[None])[:2]).item() for curve in curves[::9]]
    assert alone == error(values, known)[::9].tolist()


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_stops_its_curve_and_no_other(broken):
    curves = family()
    _, known, _ = refined(curves)
    spoilt = curves.clone()
    spoilt[5, FIRST[2] :] = broken
    values, points, _ = refined(spoilt)
    others = torch.arange(len(curves)) != 5

    assert points[5].sum() == len(FIRST)
    assert torch.equal(points[others], known[others])
    assert not error(values, points)[5].isfinite()
    assert error(values, points)[others].isfinite().all()


def test_adaptive_points_beat_as_many_equal_ones():
    curves = torch.cat([walks(200), slopes()])
    _, known, _ = refined(curves)
    steps = round(known[:, 1:-1].sum(1).double().mean().item()) + 1
    even = torch.zeros_like(known)
    even[:, torch.linspace(0, GRID, steps + 1).round().long()] = True
    off = [
        (area(filled(curves.where(points, torch.nan), points)) - area(curves)).abs().mean() for points in (known, even)
    ]

    assert off[0] < 0.8 * off[1]
