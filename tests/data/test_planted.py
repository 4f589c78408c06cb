import math
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare

from xai_bench.data import load_data
from xai_bench.data.planted import SHAPES, Planted, draw
from xai_bench.data.shapes import Thing, coverage, stamp
from xai_bench.errors import InvalidValueError, UnknownNameError

MANY = 1000
PLACES = st.integers(0, 10**6)
SPLITS = st.sampled_from(("train", "test", "shifted"))


@cache
def scenes(split: str, count: int = MANY, **options):
    data = Planted(split=split, n=count, **options)
    return [data.scene(index) for index in range(count)]


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_background_is_the_class_s_own_with_the_chosen_probability(split: str):
    own = sum(scene.background == scene.label for scene in scenes(split, correlation=0.7))

    low, high = binomtest(own, MANY).proportion_ci(0.999)
    assert low <= 0.7 <= high


def test_a_misleading_background_is_each_of_the_others_as_often():
    turns = [(scene.background - scene.label) % 4 for scene in scenes("train", correlation=0.0)]

    counts = np.bincount(turns, minlength=4)
    assert counts[0] == 0
    assert chisquare(counts[1:]).pvalue > 1e-3


def test_shifted_backgrounds_are_independent_of_the_class():
    table = np.zeros((4, 4))
    for scene in scenes("shifted"):
        table[scene.label, scene.background] += 1

    assert chisquare(table.ravel()).pvalue > 1e-3  # 16 cells as likely: independent and both uniform


def test_distractors_do_not_tell_the_class():
    table = np.zeros((4, 3))
    for scene in scenes("test"):
        table[scene.label, len(scene.things) - 1] += 1

    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    assert chisquare(table.ravel(), expected.ravel(), ddof=5).pvalue > 1e-3


def test_the_object_covers_seven_percent_on_average_in_every_class():
    batch = load_data("planted", n=800, seed=3).batch(0, 800)

    shares = batch.regions.float().mean(dim=(1, 2))
    for label in range(4):
        assert shares[batch.labels == label].mean().item() == pytest.approx(0.07, abs=0.0045)


@given(index=PLACES, split=SPLITS, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_masks_cover_exactly_what_was_drawn(index: int, split: str, seed: int):
    data = Planted(split=split, seed=seed)
    scene = data.scene(index)
    rng = [np.random.default_rng(5) for _ in range(3)]
    full, region, distractor = draw(scene, (64, 64), rng[0])
    bare, *_ = draw(scene._replace(things=()), (64, 64), rng[1])
    alone, *_ = draw(scene._replace(things=scene.things[:1]), (64, 64), rng[2])

    assert np.array_equal((full != bare).any(axis=0), region | distractor)
    assert np.array_equal((alone != bare).any(axis=0), region)


@given(index=PLACES, split=SPLITS)
@settings(max_examples=60, deadline=None)
def test_objects_are_whole_and_apart_and_boxed(index: int, split: str):
    sample = Planted(split=split).sample(index)
    object_ = Planted(split=split).scene(index).things[0]
    rows, columns = torch.where(sample.region)
    tight = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)

    assert object_.radius <= min(object_.x, object_.y, 64 - object_.x, 64 - object_.y)
    assert not (sample.region & sample.distractor).any()
    assert sample.boxes[0][:4] == tight
    assert sample.size == (64, 64)


@given(index=st.integers(0, 40), split=SPLITS, seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_a_sample_depends_on_seed_split_and_index_alone(index: int, split: str, seed: int):
    one = load_data("planted", split=split, seed=seed, n=41)[index]
    other = load_data("planted", split=split, seed=seed, n=60, batch_size=7).batch(index, index + 2)

    assert torch.equal(one.image, other.images[0])
    assert torch.equal(one.region, other.regions[0])
    assert one.id == other.ids[0] == f"planted-{split}-{seed}-{index}"


def test_another_seed_split_or_index_gives_another_picture():
    first, second = load_data("planted", n=2)[0], load_data("planted", n=2)[1]
    seeded, split = load_data("planted", seed=1)[0], load_data("planted", split="train")[0]

    images = [sample.image for sample in (first, second, seeded, split)]
    assert not any(torch.equal(a, b) for a, b in pairwise(images))
    assert not torch.equal(images[0], images[2])


def test_the_labels_of_today_are_the_labels_of_tomorrow():
    expected = [3, 0, 3, 0, 2, 1, 1, 3, 0, 1, 2, 2]

    assert [scene.label for scene in scenes("test", 12)] == expected


@pytest.mark.parametrize("shape", SHAPES)
def test_no_shape_leaves_its_circle(shape: str):
    thing = Thing(shape, 30.0, 30.0, 20.0, 0.3, (1.0, 1.0, 1.0))
    window, inside = stamp(thing, (60, 60))
    rows, columns = np.nonzero(inside)
    radius = np.hypot(rows + window[0].start + 0.5 - 30, columns + window[1].start + 0.5 - 30)

    assert radius.max() <= 20
    assert inside.sum() == pytest.approx(coverage(shape) * 400, rel=0.03)


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        ("disc", math.pi),
        ("square", 1.96),
        ("triangle", 0.86 * 1.5),
        ("cross", 2 * 1.8 * 0.6 - 0.36),
        ("ring", math.pi * (1 - 0.55**2)),
        ("star", 2.5 * math.sin(math.pi / 5)),  # ten triangles of sides 1 and 1/2 about 36 degrees
        ("hexagon", 1.5 * math.sqrt(3)),
        ("bar", 4 * 0.94 * 0.33),
    ],
)
def test_shapes_have_the_areas_of_the_textbook(shape: str, area: float):
    assert coverage(shape) == pytest.approx(area, rel=0.01)


def test_batches_carry_what_is_known():
    batches = list(load_data("planted", n=5, batch_size=2))

    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert batches[0].distractors.dtype == torch.bool
    assert batches[0].ignore is None
    assert batches[0].faults == ("", "")


@pytest.mark.parametrize("size", [(16, 16), (48, 100), (224, 224)])
def test_any_size_from_sixteen_pixels_on(size: tuple[int, int]):
    sample = load_data("planted", size=size)[0]

    assert sample.image.shape == (3, *size)
    assert sample.region.any()


def test_every_option_is_in_the_fingerprint():
    options = [
        {},
        {"split": "train"},
        {"n": 9},
        {"seed": 1},
        {"size": 32},
        {"correlation": 0.5},
        {"distractors": 1},
        {"classes": ("disc", "star")},
    ]

    prints = {load_data("planted", **some).fingerprint for some in options}
    assert len(prints) == len(options)
    assert all(len(one) == 12 for one in prints)
    assert load_data("planted", n=256, batch_size=3, label="mine").fingerprint in prints


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ("disc",)}, "classes of dataset planted must be two or more different shapes, got ('disc',)"),
        ({"classes": ("disc", "rnig")}, "unknown shape 'rnig'; did you mean 'ring'?"),
        ({"correlation": 1.5}, "correlation of dataset planted must be in [0, 1], got 1.5"),
        ({"classes": tuple(SHAPES)}, "distractors of dataset planted must be in [0, 0] beside 10 classes, got 2"),
        ({"size": 8}, "size of dataset planted must be at least 16 x 16, got (8, 8)"),
        ({"split": "shiftd"}, "unknown split of planted 'shiftd'; did you mean 'shifted'?"),
        ({"n": 0}, "n of dataset planted must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size of dataset planted must be at least 1, got 0"),
    ],
)
def test_refusals_say_what_is_allowed(options: dict, message: str):
    with pytest.raises((InvalidValueError, UnknownNameError)) as caught:
        load_data("planted", **options)

    assert str(caught.value) == message


def test_an_empty_slice_is_refused():
    with pytest.raises(InvalidValueError, match=r"batch \[5:5\] of planted/test is empty; it has 8 images"):
        load_data("planted", n=8).batch(5, 5)
