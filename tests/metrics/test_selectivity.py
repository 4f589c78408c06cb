"""Selectivity on paper."""

import pytest

from xai_bench.engine import Case, Patch, Pixel, Scene
from xai_bench.errors import InvalidValueError
from xai_bench.metrics import score
from xai_bench.metrics.selectivity import Selectivity
from xai_bench.oracles import IMAGE, PIXELS, Sum, as_model
from xai_bench.removal import Fill
from xai_bench.types import Batch


def value(maps, **changed):
    case = Case(Scene(as_model(Sum()), Batch(IMAGE, ("a",))), maps)
    settings = {"removal": Fill("black"), "unit": Pixel(), "output": "logit"}
    return score(Selectivity(**settings | changed), case).values.item()


def test_the_area_of_a_sum():
    # 1, .6, .3, .1, 0 with both ends half
    assert value(PIXELS) == pytest.approx((0.5 + 0.6 + 0.3 + 0.1) / 4)
    assert value(-PIXELS) == pytest.approx((0.5 + 0.9 + 0.7 + 0.4) / 4)


def test_equal_steps_and_one_patch():
    assert value(PIXELS, steps=2) == pytest.approx((0.5 + 0.3) / 2)
    assert value(PIXELS, unit=Patch(2)) == pytest.approx(0.5)  # a straight line from 1 to 0


def test_adaptive_steps_state_an_error():
    case = Case(Scene(as_model(Sum()), Batch(IMAGE, ("a",))), PIXELS)
    found = score(Selectivity(Fill("black"), Pixel(), "adaptive", "logit"), case)

    assert found.errors is not None
    assert "adaptive" in Selectivity(steps="adaptive").spec()


def test_steps_are_checked():
    with pytest.raises(InvalidValueError, match="at least 1, got 0"):
        Selectivity(steps=0)
