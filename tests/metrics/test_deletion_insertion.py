"""Deletion and insertion of models whose right score is known on paper."""

from dataclasses import dataclass
from itertools import permutations
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from xai_bench.engine import Case, Scene, Unit
from xai_bench.engine.units import Segments
from xai_bench.errors import InvalidValueError, XaiBenchError
from xai_bench.metrics import METRICS, score
from xai_bench.metrics.deletion import Deletion
from xai_bench.metrics.insertion import Insertion
from xai_bench.oracles import IMAGE, PIXELS, Sum, as_model
from xai_bench.removal import Blur, Fill
from xai_bench.types import Batch, Card

BLACK = Fill("black")


def of_a_sum(metric, maps=PIXELS, module=None):
    return score(metric, Case(Scene(as_model(module or Sum()), Batch(IMAGE, ("a",))), maps)).values.item()


def quarters(kind, **fields):
    """Of the curve 1 .6 .3 .1 0 at 0, 1/4 ... 1 removed, or 0 .4 .7 .9 1 shown, unless other steps are asked for."""
    return kind(**{"removal": BLACK, "steps": 4, "output": "logit"} | fields)


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


def test_the_fields_that_were_facts_leave_the_default_number_what_it_was():
    assert Deletion().spec() == (
        "removal=blur(sigma=0.1,kernel=gaussian); steps=28; output=probability; ties=random; unit=pixel; ends=both; "
        "area=trapezoid; fractions=equal; order=morf; resampling=none; target=predicted"
    )
    case = Case(Scene(as_model(Pool().eval(), (56, 56), "net.2"), Batch(torch.rand(2, 3, 56, 56), ("a", "b"))))
    case = Case(case.scene, torch.rand(2, 56, 56))
    curve = case.curve(Deletion().trajectory, "probability")

    assert torch.equal(score(Deletion(), case).values, torch.trapezoid(curve.values, curve.fractions, dim=1))


# what counts and how, derived by hand
ENDS = [
    ("both", "trapezoid", 0.375, 0.625),
    ("both", "mean", 2.0 / 5, 3.0 / 5),
    ("no_clean", "mean", 1.0 / 4, 2.0 / 4),
    ("no_removed", "mean", 2.0 / 4, 3.0 / 4),
    ("neither", "mean", 1.0 / 3, 2.0 / 3),
    ("neither", "trapezoid", (0.45 + 0.2) / 2, (0.55 + 0.8) / 2),
    ("no_clean", "trapezoid", (0.45 + 0.2 + 0.05) / 3, (0.2 + 0.55 + 0.8) / 3),
    ("both", "trapezoid_dx1", 1.5, 2.5),
    ("no_clean", "trapezoid_dx1", 0.7, 1.55),
    ("both", "trapezoid_per_point", 1.5 / 5, 2.5 / 5),
    ("neither", "trapezoid_per_point", 0.65 / 3, 1.35 / 3),
]


@pytest.mark.parametrize("steps", [4, "each", "4 floor", "4 ceil", "1 units", (0, 0.25, 0.5, 0.75, 1)])
@pytest.mark.parametrize(("ends", "rule", "deletion", "insertion"), ENDS)
def test_ends_and_areas_are_those_computed_by_hand(steps, ends, rule, deletion, insertion):
    fields = {"steps": steps, "ends": ends, "area": rule}

    assert of_a_sum(quarters(Deletion, **fields)) == pytest.approx(deletion)
    assert of_a_sum(quarters(Insertion, **fields)) == pytest.approx(insertion)


STEPS = [  # of four pixels: how many are removed, or shown
    ("3 units", (0.55 * 0.75 + 0.05 * 0.25), (0.45 * 0.75 + 0.95 * 0.25)),  # 0 3 4
    ("3 ceil", (0.65 + 0.15) / 2, (0.35 + 0.85) / 2),  # 0 2 4
    ("3 floor", (0.8 + 0.45 + 0.15) / 3, (0.2 + 0.55 + 0.85) / 3),  # 0 1 2 4, taken as equally far apart
    ((0, 0.5), 0.65, 0.35),  # 0 2
    ((0.25, 0.5), 0.45, 0.55),  # 1 2
]


@pytest.mark.parametrize(("steps", "deletion", "insertion"), STEPS)
def test_steps_count_as_they_say_from_the_side_that_is_removed_or_shown(steps, deletion, insertion):
    assert of_a_sum(quarters(Deletion, steps=steps)) == pytest.approx(deletion)
    assert of_a_sum(quarters(Insertion, steps=steps)) == pytest.approx(insertion)


@pytest.mark.parametrize("steps", ["0 units", "units", "4 round", "adaptve", "-3 floor", "4 floor shown twice"])
def test_steps_that_say_nothing_are_refused(steps):
    with pytest.raises(InvalidValueError, match=r"steps of \w+ must be a number, fractions, 'each', 'adaptive'"):
        Deletion(steps=steps)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"steps": 1, "ends": "neither"}, "takes 2 points or more, but steps=1 with ends=neither leave 0"),
        ({"steps": 1, "ends": "neither", "area": "mean"}, "takes 1 point or more"),
        ({"steps": (0.5,)}, "'trapezoid' of deletion takes 2 points or more"),
        ({"steps": (0, 1), "ends": "no_clean"}, "leave 1"),
        ({"steps": "adaptive", "area": "mean"}, "adaptive steps of deletion go with both ends, the trapezoid"),
        ({"steps": "adaptive", "output": "hit"}, "adaptive steps of deletion"),
        ({"ends": "none"}, "unknown ends of metric deletion 'none'"),
        ({"area": "trapez"}, "unknown area of metric deletion 'trapez'; did you mean 'trapezoid'"),
    ],
)
def test_points_that_cannot_make_an_area_are_refused(fields, sentence):
    with pytest.raises(XaiBenchError, match=sentence):
        METRICS.build({"name": "deletion"} | fields)


class Above(torch.nn.Module):
    """Logits (sum of the grey pixels, .45): the target 0 is predicted while more than .45 is visible."""

    def forward(self, pictures):
        total = pictures.mean(1).sum((1, 2))
        return torch.stack([total, torch.full_like(total, 0.45)], 1)


def test_hits_are_whether_the_target_is_still_predicted():
    # hits 1 1 0 0 0 while pixels are removed, 0 0 1 1 1 while they are shown
    assert of_a_sum(quarters(Deletion, output="hit"), module=Above()) == pytest.approx(0.375)
    assert of_a_sum(quarters(Insertion, output="hit", area="mean"), module=Above()) == pytest.approx(0.6)
    assert Deletion(output="hit").reads is None


@dataclass(frozen=True)
class Columns(Unit):
    """Image after image: four pixels, then two columns, then one whole."""

    card: ClassVar = Card("columns", source="here")

    def split(self, images):
        shapes = ([[0, 1], [2, 3]], [[0, 1], [0, 1]], [[0, 0], [0, 0]])
        return Segments(torch.tensor(shapes[: len(images)]))


def in_columns(kind, **fields):
    batch = Batch(IMAGE.expand(3, 3, 2, 2).clone(), ("a", "b", "c"))
    metric = quarters(kind, unit=Columns(), steps="each", **fields)
    return score(metric, Case(Scene(as_model(Sum()), batch), PIXELS.expand(3, 2, 2)))


def test_images_of_unlike_numbers_of_units_have_curves_of_their_own():
    # 1 .6 .3 .1 0; then columns of .6 and .4: 1 .4 0; then 1 0
    assert in_columns(Deletion).values.tolist() == pytest.approx([0.375, (0.7 + 0.2) / 2, 0.5])
    assert in_columns(Insertion).values.tolist() == pytest.approx([0.625, (0.3 + 0.8) / 2, 0.5])
    assert in_columns(Deletion, area="mean").values.tolist() == pytest.approx([0.4, 1.4 / 3, 0.5])
    assert in_columns(Deletion, area="trapezoid_dx1").values.tolist() == pytest.approx([1.5, 0.9, 0.5])


def test_an_image_with_too_few_units_is_undefined():
    found = in_columns(Deletion, ends="neither", area="mean")

    assert found.values[:2].tolist() == pytest.approx([1 / 3, 0.4])
    assert found.reasons == ("", "", "image has too few units")
    assert in_columns(Insertion, ends="neither").reasons == ("", *["image has too few units"] * 2)
    assert in_columns(Insertion, ends="neither", area="mean").values[:2].tolist() == pytest.approx([2 / 3, 0.6])


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
    """RISE in a straight line: one image, numpy order, one pixel group after another."""
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
    with pytest.raises(InvalidValueError, match=r"steps of \w+ must be at least 1, got 0"):
        kind(steps=0)


def test_the_spec_says_where_the_steps_are():
    assert "fractions=equal" in METRICS.build("deletion").spec()
    adaptive = METRICS.build({"name": "deletion", "steps": "adaptive"})
    assert "fractions=0/28/70/126/224 then halves where" in adaptive.spec()
