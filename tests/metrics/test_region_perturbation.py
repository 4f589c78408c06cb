"""AOPC and ABPC on paper."""

import pytest
import torch

from xai_bench.catalogue import label
from xai_bench.engine import Case, Patch, Pixel, Scene, Slic
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.metrics import METRICS, score
from xai_bench.metrics.region_perturbation import RegionPerturbation
from xai_bench.oracles import IMAGE, PIXELS, Linear, Sum, as_model
from xai_bench.removal import Fill
from xai_bench.types import Batch

SETTINGS = {"removal": Fill("black"), "unit": Pixel(), "output": "logit"}


def value(maps, images=IMAGE, module=None, **changed):
    case = Case(Scene(as_model(module or Sum()), Batch(images, ("a",))), maps)
    return score(RegionPerturbation(**SETTINGS | changed), case).values.item()


def test_the_mean_fall_counts_the_clean_image():
    # a sum of .4 .3 .2 .1 falls by 0, .4, .7, .9, 1.0
    assert value(PIXELS) == pytest.approx(3.0 / 5)


def test_the_worst_order_is_the_least_relevant_first_reading():
    # 0, .1, .3, .6, 1.0
    assert value(-PIXELS) == pytest.approx(2.0 / 5)
    assert value(PIXELS, reading="lerf") == pytest.approx(2.0 / 5)


def test_the_area_between_the_curves():
    # lerf minus morf: 0, .3, .4, .3, 0
    assert value(PIXELS, reading="abpc") == pytest.approx(1.0 / 5)
    assert value(-PIXELS, reading="abpc") == pytest.approx(-1.0 / 5)


def test_only_the_first_regions_count():
    assert value(PIXELS, regions=2) == pytest.approx((0 + 0.4 + 0.7) / 3)
    assert value(PIXELS, reading="abpc", regions=2) == pytest.approx((0 + 0.3 + 0.4) / 3)


def test_one_pixel_that_decides_reaches_the_highest_value():
    # probability 1 with the pixel, about 0 without: L of L + 1 points for a perfect map, one of them for the worst
    weights = torch.zeros(3, 2, 2)
    weights[:, 0, 0] = 80.0

    class Decides(Linear):
        def forward(self, images):
            return super().forward(images) - torch.tensor([100.0, 0.0])

    settings = {"images": torch.ones(1, 3, 2, 2), "module": Decides(weights), "output": "probability"}
    assert value(PIXELS, **settings) == pytest.approx(4 / 5)
    assert value(-PIXELS, **settings) == pytest.approx(1 / 5)
    assert value(PIXELS, reading="abpc", **settings) == pytest.approx(3 / 5)


def test_regions_are_ranked_by_their_mean():
    # two halves of 2 x 2 pixels; the right one holds the highest pixel but the lower mean
    images = torch.zeros(1, 3, 2, 4)
    images[:, :, :, :2], images[:, :, :, 2:] = 0.25, 0.125
    maps = torch.tensor([[[0.5, 0.5, 1.0, 0.0], [0.5, 0.5, 0.0, 0.0]]])

    assert value(maps, images, unit=Patch(2), regions=1) == pytest.approx((0 + 1.0) / 2)


def test_images_with_fewer_regions_are_averaged_over_their_own():
    images = torch.zeros(2, 3, 12, 12)
    images[0, :, :, 6:] = 1.0  # two colours, two segments
    images[1] = (
        torch.rand(3, 3, 3, generator=torch.Generator().manual_seed(0)).repeat_interleave(4, 1).repeat_interleave(4, 2)
    )
    maps = torch.rand(2, 12, 12, generator=torch.Generator().manual_seed(1))
    metric = RegionPerturbation(removal=Fill("black"), unit=Slic(segments=9), output="logit", regions=None)
    together = Case(Scene(as_model(Sum()), Batch(images, ("a", "b"))), maps)
    alone = Case(Scene(as_model(Sum()), Batch(images[:1], ("a",))), maps[:1])

    assert len(set(together.partition(metric.unit).counts)) == 2
    assert score(metric, together).values[0].item() == pytest.approx(score(metric, alone).values[0].item(), abs=1e-6)


def test_the_direction_is_that_of_the_reading():
    better = {reading: RegionPerturbation(reading=reading).card.better for reading in ("morf", "lerf", "abpc")}

    assert better == {"morf": "higher", "lerf": "lower", "abpc": "higher"}
    assert RegionPerturbation.card.better == "higher"
    assert label(RegionPerturbation(reading="lerf")) == "region_perturbation(reading=lerf)"
    assert RegionPerturbation(reading="lerf") == RegionPerturbation(reading="lerf")


def test_wrong_parameters_are_refused():
    with pytest.raises(InvalidValueError, match="regions of region_perturbation must be at least 1, got 0"):
        RegionPerturbation(regions=0)
    with pytest.raises(
        UnknownNameError, match="unknown reading of metric region_perturbation 'abcp'; did you mean 'abpc'"
    ):
        METRICS.build({"name": "region_perturbation", "reading": "abcp"})
