"""Inside minus outside on paper."""

import math
from itertools import permutations

import pytest
import torch

from xai_bench.engine import Case, Scene
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.metrics import METRICS, score
from xai_bench.metrics.inside_minus_outside import InsideMinusOutside
from xai_bench.oracles import IMAGE, PIXELS, Sum, as_model
from xai_bench.removal import Fill, LayerMasking
from xai_bench.types import Batch

LOGIT = {"removal": Fill("black"), "output": "logit"}


def region(*pixels):
    flat = torch.zeros(4, dtype=torch.bool)
    flat[list(pixels)] = True
    return flat.view(1, 2, 2)


def of_a_sum(metric, maps=PIXELS, regions=None):
    case = Case(Scene(as_model(Sum()), Batch(IMAGE, ("a",), regions=regions)), maps)
    found = score(metric, case)
    return found.reasons[0] or found.values.item()


def test_as_many_pixels_as_the_region_has_wherever_it_lies():
    # two pixels: .4 and .3 inside, .2 and .1 outside
    assert of_a_sum(InsideMinusOutside(**LOGIT), regions=region(2, 3)) == pytest.approx(0.4)
    assert of_a_sum(InsideMinusOutside(**LOGIT), regions=region(3)) == pytest.approx(0.4 - 0.6)


def test_a_fixed_share_needs_no_region():
    assert of_a_sum(InsideMinusOutside(share=0.25, **LOGIT)) == pytest.approx(0.4 - 0.6)
    assert of_a_sum(InsideMinusOutside(share=0.5, **LOGIT)) == pytest.approx(0.7 - 0.3)
    assert of_a_sum(InsideMinusOutside(share=0.7, **LOGIT)) == pytest.approx(0.9 - 0.1)  # floor(2.8 + 1/2) = 3
    assert "regions" not in InsideMinusOutside(share=0.5).needs


def test_a_probability_lies_between_the_two():
    inside, outside = (1 / (1 + math.exp(-logit)) for logit in (0.7, 0.3))

    assert of_a_sum(InsideMinusOutside(share=0.5, removal=Fill("black"))) == pytest.approx(inside - outside)


def test_the_perfect_order_is_best_and_the_reverse_worst():
    metric = InsideMinusOutside(share=0.5, **LOGIT)
    orders = [torch.tensor(list(order)).float().view(1, 2, 2) for order in permutations(range(4))]
    values = [of_a_sum(metric, order) for order in orders]

    assert max(values) == pytest.approx(of_a_sum(metric))
    assert min(values) == pytest.approx(of_a_sum(metric, -PIXELS)) == pytest.approx(-0.4)


def test_where_nothing_or_everything_is_inside_it_is_undefined():
    metric = InsideMinusOutside(**LOGIT)

    assert of_a_sum(metric, regions=region()) == "no region"
    assert of_a_sum(metric, regions=region(0, 1, 2, 3)) == "region covers the whole image"
    assert of_a_sum(InsideMinusOutside(share=0.1, **LOGIT)) == "share is no pixel or all"
    assert of_a_sum(InsideMinusOutside(share=0.9, **LOGIT)) == "share is no pixel or all"
    assert of_a_sum(metric, torch.ones(1, 2, 2), region(1)) == "map is constant"


def test_impossible_shares_and_missing_regions_are_refused():
    for share in (0.0, 1.0, -0.5, math.nan):
        with pytest.raises(InvalidValueError, match="must be 'region' or between 0 and 1"):
            InsideMinusOutside(share=share)
    with pytest.raises(
        InvalidValueError, match="share of metric inside_minus_outside must be 'region' or float, got 'object'"
    ):
        METRICS.build({"name": "inside_minus_outside", "share": "object"})
    with pytest.raises(UnsupportedError, match="needs regions, but the data have none"):
        of_a_sum(InsideMinusOutside())


def test_under_layer_masking_it_is_what_the_removal_sees():
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    model, images = as_model(module, (6, 6), "0"), torch.rand(1, 3, 6, 6)
    maps = torch.rand(1, 6, 6)
    metric = InsideMinusOutside(removal=LayerMasking(), share=0.25, output="logit")
    scene = Scene(model, Batch(images, ("a",)))
    top = (maps >= maps.flatten().sort(descending=True)[0][8]).float()  # nine of 36 pixels
    with torch.inference_mode():
        seen = [LayerMasking().see(model, images, keep, None)[0, scene.targets[0]] for keep in (top, 1 - top)]

    assert score(metric, Case(scene, maps)).values.item() == pytest.approx((seen[0] - seen[1]).item(), abs=1e-6)
    assert abs(seen[0] - seen[1]) > 1e-3
