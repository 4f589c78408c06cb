"""IROF on paper."""

import pytest
import torch

from xai_bench.engine import Case, Pixel, Scene, Slic
from xai_bench.metrics import score
from xai_bench.metrics.irof import Irof
from xai_bench.oracles import IMAGE, PIXELS, Linear, Sum, as_model
from xai_bench.removal import Fill
from xai_bench.types import Batch

SETTINGS = {"removal": Fill("black"), "unit": Pixel(), "output": "logit"}


def scores(maps, images=IMAGE, module=None, targets=None, **changed):
    ids = tuple(map(str, range(len(images))))
    case = Case(Scene(as_model(module or Sum()), Batch(images, ids), targets=targets), maps)
    return score(Irof(**SETTINGS | changed), case)


def test_the_area_over_the_curve_of_a_sum():
    # 1, .6, .3, .1, 0 of the clean output, with both ends half
    assert scores(PIXELS).values.item() == pytest.approx(1 - 1.5 / 4)
    assert scores(-PIXELS).values.item() == pytest.approx(1 - 2.5 / 4)


def test_the_scale_of_the_output_cancels_out():
    assert scores(PIXELS, module=Linear(torch.full((3, 2, 2), 7 / 3))).values.item() == pytest.approx(1 - 1.5 / 4)


def test_a_first_segment_that_takes_everything_leaves_half_a_step():
    weights = torch.zeros(3, 2, 2)
    weights[:, 0, 0] = 1.0

    assert scores(PIXELS, module=Linear(weights)).values.item() == pytest.approx(1 - 0.5 / 4)
    assert scores(-PIXELS, module=Linear(weights)).values.item() == pytest.approx(0.5 / 4)  # only the last one counts


def test_an_output_that_grows_is_below_0():
    # weights -1, -1, 1, 2 in the order of the map: 1, 2, 3, 2, 0
    weights = torch.tensor([[2.0, -1.0], [-1.0, 1.0]]).expand(3, 2, 2) / 3
    maps = torch.tensor([[[1.0, 4.0], [3.0, 2.0]]])

    assert scores(maps, torch.ones(1, 3, 2, 2), Linear(weights)).values.item() == pytest.approx(1 - 7.5 / 4)


def test_segments_are_those_of_each_image():
    images = torch.zeros(1, 3, 12, 12)
    images[:, :, :, 6:] = 0.5
    images[:, :, :6, :6] = 1.0  # three colours
    maps = images.mean(1)
    case = Case(Scene(as_model(Sum()), Batch(images, ("a",))), maps)
    labels = case.partition(Slic(segments=4)).labels[0]
    outputs = [images.mean(1).sum().item()]
    left = images.mean(1)[0].clone()
    for segment in sorted(labels.unique(), key=lambda one: -maps[0][labels == one].mean()):
        left[labels == segment] = 0
        outputs.append(left.sum().item())
    relative = [output / outputs[0] for output in outputs]
    expected = 1 - (sum(relative) - (relative[0] + relative[-1]) / 2) / (len(relative) - 1)

    assert score(Irof(Fill("black"), Slic(segments=4), "logit"), case).values.item() == pytest.approx(expected)


def test_an_output_that_is_not_above_0_is_undefined():
    found = scores(PIXELS.expand(2, 2, 2), torch.cat([IMAGE, IMAGE * 0]), targets=torch.tensor([0, 0]))

    assert found.reasons == ("", "clean output is not above 0")
    assert found.values[1].isnan()


def test_an_image_of_one_segment_is_undefined():
    assert scores(PIXELS, unit=Slic(segments=1)).reasons == ("image is one segment",)
