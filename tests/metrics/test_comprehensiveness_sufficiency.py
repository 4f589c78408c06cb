"""Comprehensiveness and sufficiency on paper."""

import pytest
import torch

from xai_bench.engine import Case, Scene, Trajectory
from xai_bench.errors import InvalidValueError
from xai_bench.metrics import score
from xai_bench.metrics.comprehensiveness import Comprehensiveness
from xai_bench.metrics.sufficiency import Sufficiency
from xai_bench.oracles import IMAGE, PIXELS, Sum, as_model
from xai_bench.removal import Fill
from xai_bench.types import Batch

BLACK = Fill("black")


def value(kind, maps, images=IMAGE, **settings):
    case = Case(Scene(as_model(Sum()), Batch(images, ("a",))), maps)
    return score(kind(removal=BLACK, output="logit", **settings), case).values.item()


def test_what_goes_with_the_most_relevant_part():
    # a quarter of .4 .3 .2 .1 takes .4, a half .7
    assert value(Comprehensiveness, PIXELS, bins=(0.25, 0.5)) == pytest.approx(0.55)
    assert value(Comprehensiveness, -PIXELS, bins=(0.25, 0.5)) == pytest.approx((0.1 + 0.3) / 2)


def test_what_is_missing_when_only_the_most_relevant_part_is_there():
    # a quarter leaves .4 of 1, a half .7
    assert value(Sufficiency, PIXELS, bins=(0.25, 0.5)) == pytest.approx((0.6 + 0.3) / 2)
    assert value(Sufficiency, -PIXELS, bins=(0.25, 0.5)) == pytest.approx((0.9 + 0.7) / 2)


def test_the_default_bins_on_an_image_of_one_white_pixel():
    # 100 pixels: each bin, from 1 % on, holds the pixel, or (worst map) none of them does
    images, maps = torch.zeros(1, 3, 10, 10), torch.rand(1, 10, 10, generator=torch.Generator().manual_seed(0))
    images[:, :, 4, 4], maps[:, 4, 4] = 1.0, 2.0

    assert value(Comprehensiveness, maps, images) == pytest.approx(1)
    assert value(Sufficiency, maps, images) == pytest.approx(0)
    assert value(Comprehensiveness, -maps, images) == pytest.approx(0)
    assert value(Sufficiency, -maps, images) == pytest.approx(1)


def test_bins_hold_their_share_of_the_pixels():
    # 100 pixels of .01 in the order of the map: 1, 5, 10, 20 and 50 of them are 86 / 5 hundredths on average
    images = torch.full((1, 3, 10, 10), 0.01)
    maps = torch.arange(100.0).view(1, 10, 10)

    assert value(Comprehensiveness, maps, images) == pytest.approx(0.86 / 5, abs=1e-6)
    assert value(Sufficiency, maps, images) == pytest.approx(1 - 0.86 / 5, abs=1e-6)


def test_what_is_kept_is_the_rest_of_a_removal():
    assert Sufficiency(BLACK).questions == (Trajectory(BLACK, "lerf", (0.5, 0.8, 0.9, 0.95, 0.99)),)
    assert Comprehensiveness(BLACK).questions == (Trajectory(BLACK, "morf", (0.01, 0.05, 0.1, 0.2, 0.5)),)


@pytest.mark.parametrize("bins", [(), (0.5, 0.1), (0.5, 1.5), (-0.1,)])
def test_bins_are_shares_that_rise(bins):
    with pytest.raises(InvalidValueError, match=r"bins of comprehensiveness must be fractions in \[0, 1\]"):
        Comprehensiveness(bins=bins)


def test_a_bin_without_a_pixel_is_undefined_or_refused():
    case = Case(Scene(as_model(Sum()), Batch(IMAGE, ("a",))), PIXELS)

    assert score(Comprehensiveness(), case).reasons == ("image has too few units",)  # 1 % of four pixels
    with pytest.raises(InvalidValueError, match="bins of sufficiency must be shares above 0"):
        Sufficiency(bins=(0.0, 0.5))
