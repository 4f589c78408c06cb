"""Deletion and insertion of models whose right score is known on paper."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from xai_bench.engine import Case, Scene
from xai_bench.errors import InvalidValueError
from xai_bench.metrics import METRICS, score
from xai_bench.metrics.deletion import Deletion
from xai_bench.metrics.insertion import Insertion
from xai_bench.oracles import IMAGE, PIXELS, Sum, as_model
from xai_bench.removal import Blur, Fill
from xai_bench.types import Batch

BLACK = Fill("black")


def of_a_sum(metric, maps=PIXELS):
    return score(metric, Case(Scene(as_model(Sum()), Batch(IMAGE, ("a",))), maps)).values.item()


def test_deletion_of_a_sum_is_the_hand_computed_area():
    # curve 1 .6 .3 .1 0
    assert of_a_sum(Deletion(removal=BLACK, steps=4, output="logit")) == pytest.approx(0.375)


def test_insertion_of_a_sum_is_the_hand_computed_area():
    # curve 0 .4 .7 .9 1
    assert of_a_sum(Insertion(removal=BLACK, steps=4, output="logit")) == pytest.approx(0.625)


def test_the_perfect_order_is_best_and_the_reverse_worst():
    deletion, insertion = (kind(removal=BLACK, steps=4, output="logit") for kind in (Deletion, Insertion))
    orders = [torch.tensor(list(order)).float().view(1, 2, 2) for order in permutations(range(4))]
    deletions, insertions = ([of_a_sum(metric, order) for order in orders] for metric in (deletion, insertion))

    assert min(deletions) == pytest.approx(of_a_sum(deletion))
    assert max(deletions) == pytest.approx(of_a_sum(deletion, -PIXELS))
    assert max(insertions) == pytest.approx(of_a_sum(insertion))
    assert min(insertions) == pytest.approx(of_a_sum(insertion, -PIXELS))


def test_one_step_sees_only_the_end_points():
    assert of_a_sum(Deletion(removal=BLACK, steps=1, output="logit")) == pytest.approx(0.5)


def test_the_default_protocol_is_the_documented_one():
    metric = Deletion()

    assert metric == Deletion(removal=Blur(), steps=28, output="probability", ties="random")
    assert "order=morf" in metric.spec()
    assert metric.bounds == (0.0, 1.0)
    assert Deletion(output="logit").bounds == (-float("inf"), float("inf"))


class Pool(torch.nn.Module):
    """A small random network at 56 x 56."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 5, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 5, 3), torch.nn.AdaptiveMaxPool2d(1)
        )

    def forward(self, images):
        return 4 * self.net(images).flatten(1)


def rise(model, image, relevance, *, insert):
    """METHODS 7.1 in a straight line: one image, numpy order, one pixel group after another."""
    mean = torch.tensor(model.mean).view(3, 1, 1)
    blank = mean.expand_as(image)
    if insert:
        delta = np.zeros((11, 11))
        delta[5, 5] = 1
        kernel = torch.from_numpy(gaussian_filter(delta, 5)).float().expand(3, 1, 11, 11)
        blank = F.conv2d(image - mean, kernel, padding=5, groups=3) + mean
    start, finish = (blank, image) if insert else (image, blank)
    pixels = image.shape[1] * image.shape[2]
    order = np.argsort(relevance.numpy().flatten(), kind="stable")[::-1].copy()
    current, values = start.clone().view(3, -1), []
    target = model(image[None]).argmax().item()
    steps = 224
    edges = [int(np.floor(step * pixels / steps + 0.5)) for step in range(steps + 1)]
    for before, after in zip([0, *edges[:-1]], edges, strict=True):
        here = order[before:after]
        current[:, here] = finish.reshape(3, -1)[:, here]
        values.append(model(current.view(1, *image.shape)).softmax(1)[0, target].item())
    return (sum(values) - values[0] / 2 - values[-1] / 2) / steps


@pytest.mark.parametrize(("name", "insert"), [("deletion@rise", False), ("insertion@rise", True)])
def test_the_rise_protocol_is_a_straight_line_evaluation_of_its_definition(name, insert):
    model = as_model(Pool().eval(), (56, 56), "net.2")
    model.mean = (0.4, 0.5, 0.3)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 56, 56, generator=generator)
    maps = (torch.rand(2, 56, 56, generator=generator) * 50).round()  # many ties
    with torch.no_grad():
        expected = [rise(model, image, relevance, insert=insert) for image, relevance in zip(images, maps, strict=True)]
    got = score(METRICS.build(name), Case(Scene(model, Batch(images, ("a", "b"))), maps)).values

    assert got.tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", [Deletion, Insertion])
def test_a_curve_needs_a_step(kind):
    with pytest.raises(InvalidValueError, match="steps must be at least 1, got 0"):
        kind(steps=0)


def test_the_spec_says_where_the_steps_are():
    assert "fractions=equal" in METRICS.build("deletion").spec()
    adaptive = METRICS.build({"name": "deletion", "steps": "adaptive"})
    assert "fractions=0/28/70/126/224 then halves where" in adaptive.spec()
