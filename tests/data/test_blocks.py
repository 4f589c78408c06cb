from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare

from xai_bench.data import load_data
from xai_bench.data.blocks import DIGITS, Blocks, draw, empty
from xai_bench.data.image import Preprocessing
from xai_bench.errors import InvalidValueError, UnknownNameError

PLACES = st.integers(0, 10**6)
MANY = 1000


def plans(**options):
    data = Blocks(n=MANY, **options)
    return [data.plan(index) for index in range(MANY)]


def test_all_digits_are_as_likely_and_the_place_of_the_block_does_not_tell_them():
    table = np.zeros((10, 2))
    for plan in plans():
        table[plan.label, int(plan.above)] += 1

    assert chisquare(table.ravel()).pvalue > 1e-3  # 20 cells as likely: independent and both uniform


def test_the_null_block_is_the_same_in_all_images_to_the_last_bit():
    batch = load_data("blocks", n=60).batch(0, 60)
    nulls = [image[:, mask].view(3, 32, 32) for image, mask in zip(batch.images, batch.distractors, strict=True)]

    assert all(torch.equal(nulls[0], null) for null in nulls)
    assert torch.equal(nulls[0][0], torch.from_numpy(empty((32, 32))))


def test_the_null_block_is_a_square_with_both_diagonals():
    drawn = empty((64, 64)) > 0.5
    lines = [drawn[10, 10:54], drawn[53, 10:54], drawn[10:54, 10], drawn[10:54, 53]]
    diagonals = [np.diag(drawn)[10:54], np.diag(drawn[:, ::-1])[10:54]]

    assert all(line.all() for line in (*lines, *diagonals))
    assert not drawn[:6].any()
    assert not drawn[20:28, 31:33].any()  # between outline and crossing


def test_another_digit_in_the_same_place_is_all_that_another_class_is():
    """Labels are decided by the glyph alone: two classes' pictures of one plan differ inside the glyph's block only."""
    data = Blocks()
    for index in range(20):
        plan, sample = data.plan(index), data[index]
        block = sample.image[0][sample.region].view(32, 32)
        drawn = {digit: draw(plan, digit, (32, 32)) for digit in DIGITS}

        assert torch.equal(block, torch.from_numpy(drawn[data.classes[sample.label]]))
        assert all(np.abs(drawn[one] - drawn[other]).max() > 0.3 for one, other in combinations(DIGITS, 2))


@given(index=PLACES, split=st.sampled_from(("train", "test")), top=st.booleans())
@settings(max_examples=40, deadline=None)
def test_region_and_distractor_are_the_two_halves(index, split, top):
    sample = Blocks(split=split, top=top).sample(index)
    rows = torch.where(sample.region.any(1))[0]

    assert (sample.region ^ sample.distractor).all()
    assert sample.region.sum() == 32 * 32
    assert sample.boxes[0][:4] == (0, rows[0], 32, rows[-1] + 1)
    assert rows[0] in ((0,) if top else (0, 32))


@given(index=PLACES)
@settings(max_examples=60, deadline=None)
def test_glyphs_lie_whole_in_their_block(index):
    data = Blocks()
    plan = data.plan(index)
    (left, top), rim = plan.origin, plan.thick / 2
    ends = [left + side + lean for side in (0, plan.width) for lean in (0, plan.slant * plan.height)]

    assert draw(plan, "8", (128, 128)).max() == pytest.approx(plan.ink)  # of a stroke's middle
    assert min(*ends, top) >= rim - 1e-9
    assert max(*ends, top + plan.height) <= 1 - rim + 1e-9


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_digit_is_above_half_the_time_and_always_where_top_is_wanted(split):
    above = sum(plan.above for plan in plans(split=split))

    low, high = binomtest(above, MANY).proportion_ci(0.999)
    assert low <= 0.5 <= high
    assert all(plan.above for plan in plans(split=split, top=True))


def test_top_moves_the_block_and_changes_nothing_else():
    pairs = zip(plans(), plans(top=True), strict=True)

    assert all(one._replace(above=True) == other for one, other in pairs)


@given(index=st.integers(0, 40), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_a_sample_depends_on_seed_split_and_index_alone(index, seed):
    one = load_data("blocks", seed=seed, n=41)[index]
    other = load_data("blocks", seed=seed, n=60, batch_size=7).batch(index, index + 2)

    assert torch.equal(one.image, other.images[0])
    assert one.id == other.ids[0] == f"blocks-test-{seed}-{index}"


def test_the_labels_of_today_are_the_labels_of_tomorrow():
    assert [Blocks().plan(index).label for index in range(12)] == [3, 6, 5, 0, 7, 9, 3, 9, 7, 7, 0, 7]


def test_every_option_is_in_the_fingerprint():
    options = [{}, {"split": "train"}, {"n": 9}, {"seed": 1}, {"size": 32}, {"top": True}, {"classes": ("0", "1")}]
    prints = {load_data("blocks", **some).fingerprint for some in options}

    assert len(prints) == len(options)
    assert load_data("blocks", n=256, batch_size=3, label="mine").fingerprint in prints


@pytest.mark.parametrize("size", [(24, 12), (57, 28), (64, 64), (224, 224)])
def test_any_size_in_which_two_blocks_have_room(size):
    sample = load_data("blocks", size=size)[0]

    assert sample.image.shape == (3, *size)
    assert (sample.region ^ sample.distractor).all()
    assert sample.image[:, sample.region].max() > 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ("1",)}, "classes of dataset blocks must be two or more different digits, got ('1',)"),
        ({"classes": ("1", "1")}, "classes of dataset blocks must be two or more different digits, got ('1', '1')"),
        ({"classes": ("1", "l")}, "unknown digit 'l'; known: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ({"size": 20}, "size of dataset blocks must be at least 24 x 12, got (20, 20)"),
        ({"split": "tets"}, "unknown split of blocks 'tets'; did you mean 'test'?"),
    ],
)
def test_refusals_say_what_is_allowed(options, message):
    with pytest.raises((InvalidValueError, UnknownNameError)) as caught:
        load_data("blocks", **options)

    assert str(caught.value) == message


def test_generated_data_keep_their_size_whatever_the_models_expect():
    from xai_bench.api import _data
    from xai_bench.oracles import Sum, as_model

    for name in ("blocks", "planted"):
        assert _data(name, 0, [as_model(Sum(), (99, 99))]).preprocessing == load_data(name).preprocessing
    assert load_data("blocks").preprocessing == Preprocessing((64, 32))
