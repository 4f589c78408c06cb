"""Pointing game: geometry on paper, ties, tolerance, original pixels."""

import math

import pytest
import torch

from xai_bench.engine import Case, Scene
from xai_bench.errors import InvalidValueError
from xai_bench.metrics import score
from xai_bench.metrics.pointing_game import PointingGame
from xai_bench.oracles import Sum, as_model
from xai_bench.types import Batch, Box


def hits(metric, maps, regions, **known):
    count, height, width = maps.shape
    batch = Batch(torch.zeros(count, 3, height, width), tuple(map(str, range(count))), regions=regions, **known)
    return score(metric, Case(Scene(as_model(Sum(), (height, width)), batch), maps))


def peak(row, column, height=8, width=8):
    maps = torch.rand(1, height, width, generator=torch.Generator().manual_seed(0)) * 0.5
    maps[0, row, column] = 1.0
    return maps


def area(rows, columns, height=8, width=8):
    region = torch.zeros(1, height, width, dtype=torch.bool)
    region[0, rows, columns] = True
    return region


@pytest.mark.parametrize(("column", "hit"), [(4, 1.0), (3, 0.0), (0, 0.0)])
def test_without_tolerance_the_peak_itself_must_lie_on_the_region(column, hit):
    assert hits(PointingGame(tolerance=0), peak(2, column), area(slice(2, 4), slice(4, 6))).values.tolist() == [hit]


@pytest.mark.parametrize(("tolerance", "hit"), [(4.9, 0.0), (5.0, 0.0), (5.001, 1.0)])
def test_the_distance_must_be_below_the_tolerance(tolerance, hit):
    # from (0, 0) to (3, 4): exactly 5
    assert hits(PointingGame(tolerance=tolerance), peak(0, 0), area(3, 4)).values.tolist() == [hit]


def test_rows_and_columns_are_not_confused():
    metric = PointingGame(tolerance=0)

    assert hits(metric, peak(1, 6, 4, 8), area(1, 6, 4, 8)).values.tolist() == [1.0]
    assert hits(metric, peak(3, 2, 4, 8), area(2, 3, 4, 8)).values.tolist() == [0.0]


def test_no_region_a_full_region_and_a_constant_map_are_undefined():
    maps = torch.cat([peak(1, 1), peak(1, 1), torch.zeros(1, 8, 8)])
    regions = torch.cat([area(slice(0), 0), torch.ones(1, 8, 8, dtype=torch.bool), area(1, 1)])
    values, reasons = hits(PointingGame(), maps, regions).values, hits(PointingGame(), maps, regions).reasons

    assert all(map(math.isnan, values.tolist()))
    assert reasons == ("no region", "region covers the whole image", "map is constant")


def test_ignored_pixels_cannot_be_pointed_at():
    maps = peak(0, 0)
    maps[0, 5, 5] = 0.9
    ignore = area(0, 0)

    assert hits(PointingGame(tolerance=0), maps, area(5, 5)).values.tolist() == [0.0]
    assert hits(PointingGame(tolerance=0), maps, area(5, 5), ignore=ignore).values.tolist() == [1.0]


def test_tied_peaks_are_chosen_at_random_not_by_luck_of_position():
    maps = torch.zeros(200, 1, 2)
    maps = torch.cat([maps + 1, torch.zeros(200, 1, 2)], 1)
    regions = torch.zeros(200, 2, 2, dtype=torch.bool)
    regions[:, 0, 0] = True
    share = hits(PointingGame(tolerance=0), maps, regions).values.mean().item()

    assert 0.35 < share < 0.65  # 4 standard deviations around one half


@pytest.mark.parametrize(("ties", "column"), [("first", 0), ("last", 7)])
@pytest.mark.parametrize("at", ["image", "original"])
def test_tied_peaks_may_be_taken_by_position(ties, column, at):
    row = torch.zeros(1, 8, 8)
    row[0, 3] = 1
    metric, known = PointingGame(tolerance=0, ties=ties, at=at), {"sizes": ((8, 8),)}

    assert hits(metric, row, area(3, column), **known).values.tolist() == [1.0]
    assert hits(metric, row, area(3, slice(1, 7)), **known).values.tolist() == [0.0]


def test_in_original_pixels_the_tolerance_is_of_the_original():
    # a map of 8 x 8 on an image of 80 x 80: the peak's centre is at (4.5, 4.5), the box starts at column 24
    known = {"sizes": ((80, 80),), "boxes": ((Box(24, 0, 40, 10),),)}
    region = area(slice(0, 1), slice(2, 4))

    assert hits(PointingGame(tolerance=15, at="original"), peak(0, 0), region, **known).values.tolist() == [0.0]
    assert hits(PointingGame(tolerance=25, at="original"), peak(0, 0), region, **known).values.tolist() == [1.0]
    assert hits(PointingGame(tolerance=15, at="image"), peak(0, 0), region, **known).values.tolist() == [1.0]


def test_without_boxes_the_mask_is_resized_to_the_original():
    known = {"sizes": ((16, 32),)}

    assert hits(PointingGame(tolerance=0, at="original"), peak(2, 3), area(2, 3), **known).values.tolist() == [1.0]
    assert hits(PointingGame(tolerance=0, at="original"), peak(2, 3), area(2, 5), **known).values.tolist() == [0.0]


def test_a_negative_tolerance_is_refused():
    with pytest.raises(InvalidValueError, match=r"tolerance is a distance in pixels of at least 0, got -1"):
        PointingGame(tolerance=-1.0)
