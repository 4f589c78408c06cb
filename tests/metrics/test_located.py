"""Energy pointing game, IoU and soft IoU: on paper, against straight-line evaluations, and against peers."""

import math

import numpy as np
import pytest
import torch

from xai_bench.engine import Case, Scene
from xai_bench.errors import InvalidValueError
from xai_bench.metrics import METRICS, score
from xai_bench.metrics.energy_pointing_game import EnergyPointingGame
from xai_bench.metrics.iou import Iou
from xai_bench.metrics.soft_iou import SoftIou
from xai_bench.oracles import Sum, as_model
from xai_bench.types import Batch

LEFT = [[True, False], [True, False]]
DIAGONAL = [[4.0, 3.0], [1.0, 2.0]]  # 5 of 10 on the left


def scores(metric, maps, regions, ignore=None, seed=0):
    maps = torch.as_tensor(maps, dtype=torch.float32).reshape(-1, *np.shape(maps)[-2:])
    masks = (None if mask is None else torch.as_tensor(mask).expand(maps.shape) for mask in (regions, ignore))
    regions, ignore = masks
    ids = tuple(map(str, range(len(maps))))
    batch = Batch(torch.zeros(len(maps), 3, *maps.shape[1:]), ids, regions=regions, ignore=ignore)
    return score(metric, Case(Scene(as_model(Sum(), tuple(maps.shape[1:])), batch, seed=seed), maps))


def scored(metric, maps, regions=LEFT, **known):
    """One image's number, or why it has none."""
    found = scores(metric, maps, regions, **known)
    return found.reasons[0] or found.values.item()


class TestEnergyPointingGame:
    @pytest.mark.parametrize(
        ("part", "share"),
        [
            ("positive", 4 / 7),  # of 4, 3 the 4
            ("positive_minmax", 4 / 7),  # the lowest of 4, 3, 0, 0 is 0
            ("absolute", 5 / 10),
            ("minmax", 7 / 12),  # of 6, 5, 1, 0 the 6 and the 1
        ],
    )
    def test_on_paper(self, part, share):
        assert scored(EnergyPointingGame(part=part), [[4.0, 3.0], [-1.0, -2.0]]) == pytest.approx(share, abs=1e-15)

    def test_the_lowest_positive_value_may_be_taken_off(self):
        assert scored(EnergyPointingGame(), DIAGONAL) == 5 / 10
        assert scored(METRICS.build("energy_pointing_game@score_cam"), DIAGONAL) == 3 / 6

    def test_negative_relevance_never_takes_from_the_positive(self):
        assert scored(EnergyPointingGame(), [[1.0, -9.0], [-5.0, 1.0]]) == 0.5

    def test_ignored_pixels_count_neither_way(self):
        ignore = [[False, True], [False, False]]

        assert scored(EnergyPointingGame(), DIAGONAL, ignore=ignore) == 5 / 7
        assert scored(EnergyPointingGame(part="minmax"), DIAGONAL, ignore=[[False, False], [True, False]]) == 2 / 3

    def test_a_positive_constant_map_scores_the_share_of_the_region(self):
        assert scored(EnergyPointingGame(), torch.ones(1, 4, 5), area(4, 5, 7)) == pytest.approx(7 / 20)

    def test_a_random_map_scores_it_on_average(self):
        maps = torch.rand(500, 12, 12, generator=torch.Generator().manual_seed(1))
        values = scores(EnergyPointingGame(), maps, area(12, 12, 36)).values

        assert values.mean().item() == pytest.approx(0.25, abs=4 * values.std().item() / 500**0.5)
        assert values.std() > 0.01

    @pytest.mark.parametrize(
        ("part", "level", "reason"),
        [
            ("positive", 0.0, "map has no positive part"),
            ("positive", -1.0, "map has no positive part"),
            ("positive_minmax", 1.0, "map has a positive part that is constant"),
            ("minmax", 1.0, "map has no value above its lowest"),
            ("absolute", 0.0, "map has no value but 0"),
        ],
    )
    def test_without_relevance_it_is_undefined(self, part, level, reason):
        assert scored(EnergyPointingGame(part=part), torch.full((1, 2, 2), level)) == reason

    def test_or_zero_as_in_model_guidance(self):
        guidance = METRICS.build("energy_pointing_game@model_guidance")

        assert scored(guidance, torch.zeros(1, 2, 2)) == 0
        assert scored(guidance, [[0.9e-7, 0.0], [0.0, 0.0]]) == 0
        assert scored(guidance, [[1.1e-7, 0.0], [0.0, 0.0]]) == 1
        assert scored(guidance, DIAGONAL) == 0.5

    def test_many_small_numbers_are_added_exactly(self):
        maps = torch.full((1, 1024, 1024), 0.1)
        maps[0, 0, 0] = 1e7  # in float32 a tenth beside ten million is nothing

        expected = 1 - 1e7 / (1e7 + 0.1 * (1024**2 - 1))
        outside = torch.ones(1024, 1024, dtype=torch.bool)
        outside[0, 0] = False

        assert scored(EnergyPointingGame(), maps, outside) == pytest.approx(expected, rel=1e-6)

    def test_a_negative_least_is_refused(self):
        with pytest.raises(InvalidValueError, match="least of metric energy_pointing_game must be 0 or more, got -1"):
            EnergyPointingGame(least=-1)


class TestIou:
    @pytest.mark.parametrize(
        ("threshold", "expected"),
        [(0.0, 2 / 3), (0.3, 1.0), (0.5, 1 / 2), (0.99, 1 / 2), ("best", 1.0), ("area", 1.0)],
    )
    def test_on_paper(self, threshold, expected):
        maps = [[0.0, -1.0], [1.0, -0.7]]  # as a mask .5, 0, 1, .15

        assert scored(Iou(threshold=threshold), maps) == pytest.approx(expected)

    def test_the_threshold_itself_is_not_above_it(self):
        assert scored(Iou(), [[0.0, 1.0], [2.0, 1.0]]) == 1 / 2  # .5 twice: left out

    def test_best_never_cuts_between_equal_values(self):
        # above a threshold are the 2 alone, or it and both 1s: never one of the two, and never all four
        assert scored(Iou(threshold="best"), [[1.0, 2.0], [1.0, 0.0]]) == 2 / 3
        assert scored(Iou(threshold="best"), [[0.0, 2.0], [0.0, 1.0]]) == 0

    def test_as_many_as_the_region_has(self):
        assert scored(Iou(threshold="area"), DIAGONAL) == 1 / 3
        assert scored(Iou(threshold="area"), [[9.0, 3.0], [8.0, 7.0]]) == 1

    def test_equal_values_at_the_edge_of_the_area_are_chosen_at_random(self):
        maps = torch.zeros(300, 2, 2)
        maps[:, 0, 0] = 1
        values = scores(Iou(threshold="area"), maps, LEFT).values  # the second of two: right 1 time in 3

        assert set(values.tolist()) == {1.0, 1 / 3}
        assert (values == 1).double().mean().item() == pytest.approx(1 / 3, abs=4 * (2 / 9 / 300) ** 0.5)

    @pytest.mark.parametrize("threshold", [0.5, "best", "area"])
    def test_ignored_pixels_neither_count_nor_set_the_scale(self, threshold):
        maps, ignore = [[3.0, 1.0, 99.0], [2.0, 0.0, -99.0]], [[False, False, True]] * 2
        region = [[True, False, False], [True, False, True]]

        assert scored(Iou(threshold=threshold), maps, region) < 1
        assert scored(Iou(threshold=threshold), maps, region, ignore=ignore) == 1

    @pytest.mark.parametrize(
        ("threshold", "expected"), [(0.5, 0.25 / 1.25), ("area", 0.25 / 1.75), ("best", 0.25)], ids=str
    )
    def test_what_a_random_map_scores(self, threshold, expected):
        maps = torch.rand(200, 32, 32, generator=torch.Generator().manual_seed(2))
        found = scores(Iou(threshold=threshold), maps, area(32, 32, 256)).values.mean().item()

        assert found == pytest.approx(expected, abs=0.01)

    @pytest.mark.parametrize("scaling", ["minmax", "positive", "positive_minmax", "absolute"])
    def test_best_is_the_best_of_all_thresholds(self, scaling):
        maps = torch.randn(6, 7, 9, generator=torch.Generator().manual_seed(3)).mul(3).round()  # with ties
        region = area(7, 9, 20)
        best = scores(Iou(scaling, "best"), maps, region).values
        grid = [scores(Iou(scaling, level / 100), maps, region).values for level in range(100)]

        assert torch.equal(best, torch.stack(grid).amax(0))

    def test_model_guidance_cuts_the_positive_part(self):
        maps = torch.randn(20, 8, 8, generator=torch.Generator().manual_seed(4))
        region = area(8, 8, 16)
        values = scores(METRICS.build("iou@model_guidance"), maps, region).values.tolist()

        assert values == pytest.approx([straight(each.clamp(min=0).numpy(), region.numpy()) for each in maps])
        assert values != pytest.approx(scores(Iou(), maps, region).values.tolist())

    def test_it_is_scikit_learns_jaccard_score(self):
        peer = pytest.importorskip("sklearn.metrics")
        maps = torch.rand(5, 8, 8, generator=torch.Generator().manual_seed(5))
        region = area(8, 8, 16)
        masks = [((each - each.min()) / (each.max() - each.min()) > 0.5).flatten().numpy() for each in maps]
        theirs = [peer.jaccard_score(region.flatten().numpy(), mask) for mask in masks]

        assert scores(Iou(), maps, region).values.tolist() == pytest.approx(theirs, abs=1e-12)

    @pytest.mark.parametrize("threshold", [1.0, -0.1, math.nan])
    def test_a_threshold_that_leaves_all_or_nothing_is_refused(self, threshold):
        with pytest.raises(InvalidValueError, match=r"must be 'best', 'area' or a number in \[0, 1\), got"):
            Iou(threshold=threshold)


class TestSoftIou:
    def test_on_paper(self):
        # as a mask 1, 2/3, 0, 1/3: 1 on the left, 2 + 1 of either
        assert scored(SoftIou(), DIAGONAL) == pytest.approx(1 / 3)
        assert scored(SoftIou(scaling="none"), [[0.5, 0.25], [1.0, 0.0]]) == pytest.approx(1.5 / 2.25)

    def test_a_map_of_the_object_itself_is_perfect(self):
        assert scored(SoftIou(), [[1.0, 0.0], [1.0, 0.0]]) == 1
        assert scored(SoftIou(), [[0.0, 1.0], [0.0, 1.0]]) == 0

    def test_of_a_hard_mask_it_is_the_iou(self):
        maps = (torch.rand(9, 6, 6, generator=torch.Generator().manual_seed(6)) > 0.5).float()
        region = area(6, 6, 12)

        assert torch.equal(scores(SoftIou(), maps, region).values, scores(Iou(), maps, region).values)

    def test_ignored_pixels_neither_count_nor_set_the_scale(self):
        maps, ignore = [[1.0, 0.0, 99.0], [1.0, 0.0, -99.0]], [[False, False, True]] * 2

        assert scored(SoftIou(), maps, [[True, False, True], [True, False, False]], ignore=ignore) == 1

    def test_what_a_random_map_scores(self):
        maps = torch.rand(200, 32, 32, generator=torch.Generator().manual_seed(7))
        found = scores(SoftIou(), maps, area(32, 32, 256)).values.mean().item()

        assert found == pytest.approx(0.25 / 1.25, abs=0.005)


@pytest.mark.parametrize("metric", [EnergyPointingGame(), Iou(), SoftIou(), Iou(threshold="best")], ids=repr)
class TestWhereNoScoreIs:
    def test_the_region_decides(self, metric):
        assert scored(metric, DIAGONAL, [[False, False], [False, False]]) == "no region"
        assert scored(metric, DIAGONAL, [[True, True], [True, True]]) == "region covers the whole image"

    def test_and_what_is_left_of_it(self, metric):
        left, right = [[True, False], [True, False]], [[False, True], [False, True]]

        assert scored(metric, DIAGONAL, left, ignore=left) == "every pixel of the region is ignored"
        assert scored(metric, DIAGONAL, left, ignore=right) == "region covers all pixels that count"


@pytest.mark.parametrize("metric", [Iou(), SoftIou()], ids=repr)
def test_a_map_that_varies_where_nothing_counts_is_constant(metric):
    ignore = [[False, True], [False, False]]

    assert scored(metric, [[1.0, 5.0], [1.0, 1.0]], ignore=ignore) == "map is constant"
    assert scored(metric, [[1.0, 5.0], [1.0, 2.0]], ignore=ignore) != "map is constant"


@pytest.mark.parametrize(
    ("scaling", "maps", "reason"),
    [
        ("positive", [[-1.0, -2.0], [0.0, -3.0]], "map has no positive part"),
        ("positive_minmax", [[-1.0, -2.0], [0.0, -3.0]], "map has no positive part"),
        ("absolute", [[-1.0, 1.0], [1.0, 1.0]], "magnitude of the map is constant"),
        ("none", [[0.5, 1.5], [1.0, 1.0]], "map is not within [0, 1]"),
    ],
)
@pytest.mark.parametrize("kind", [Iou, SoftIou])
def test_a_map_that_is_no_mask_under_the_scaling_is_undefined(kind, scaling, maps, reason):
    assert scored(kind(scaling=scaling), maps) == reason


@pytest.mark.filterwarnings("ignore")  # whatever the peer warns of
class TestAgainstQuantus:
    maps = torch.randn(6, 9, 11, generator=torch.Generator().manual_seed(8))
    region = torch.zeros(9, 11, dtype=torch.bool)
    region[2:6, 3:8] = True

    def quantus(self, name, maps, **options):
        peer = getattr(pytest.importorskip("quantus"), name)(
            abs=False, normalise=False, disable_warnings=True, **options
        )
        images, masks = np.zeros((6, 3, 9, 11), np.float32), np.tile(self.region.numpy(), (6, 1, 1, 1))
        given = {"x_batch": images, "y_batch": np.zeros(6, int), "a_batch": maps[:, None].numpy(), "s_batch": masks}
        return peer(model=None, **given)

    def test_attribution_localisation_is_the_default(self):
        theirs = self.quantus("AttributionLocalisation", self.maps, positive_attributions=True)
        ours = scores(EnergyPointingGame(), self.maps, self.region).values.tolist()

        assert ours == pytest.approx(theirs, rel=1e-6)
        assert np.ptp(ours) > 0.05

    def test_relevance_mass_accuracy_is_absolute(self):
        theirs = self.quantus("RelevanceMassAccuracy", self.maps.abs())
        ours = scores(EnergyPointingGame(part="absolute"), self.maps, self.region).values.tolist()

        assert ours == pytest.approx(list(theirs), rel=1e-6)


def area(height, width, count):
    """A region of so many pixels, from the top on."""
    return (torch.arange(height * width) < count).view(height, width)


def straight(values, region):
    """IoU after min-max above one half, pixel by pixel."""
    lowest, highest = values.min(), values.max()
    both = either = 0
    for value, inside in zip(values.flatten(), region.flatten(), strict=True):
        chosen = (value - lowest) / (highest - lowest) > 0.5
        both += chosen and inside
        either += chosen or inside
    return both / either
