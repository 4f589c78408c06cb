"""Maps that are drawn here, so that what must be said of them is known."""

import itertools
import re

import numpy as np
import pytest

from xai_bench.errors import InvalidValueError
from xai_bench.reports.words import described

PLACES = [
    *[(0, 0, "upper left"), (0, 1, "upper part"), (0, 2, "upper right")],
    *[(1, 0, "left side"), (1, 1, "centre"), (1, 2, "right side")],
    *[(2, 0, "lower left"), (2, 1, "lower part"), (2, 2, "lower right")],
]


def square(top, left, size=4, value=1.0, shape=(30, 30)):
    relevance = np.zeros(shape)
    relevance[top : top + size, left : left + size] = value
    return relevance


@pytest.mark.parametrize(("row", "column", "place"), PLACES, ids=[place for _, _, place in PLACES])
def test_a_spot_is_found_in_its_ninth_of_the_image(row, column, place):
    assert f"Looks at the {place}: " in described(square(3 + 10 * row, 3 + 10 * column))


def test_a_wide_image_has_the_same_ninths():
    assert "Looks at the right side: " in described(square(3, 80, shape=(10, 100)))


def test_half_of_the_relevance_is_counted_on_paper():
    relevance = square(0, 0, size=6)  # 36 of 900 pixels
    relevance[10:20, 10:20] = 0.04  # 4 more: 20 pixels hold half of 40
    flat = np.arange(1.0, 101.0).reshape(10, 10)  # 5050 in all; the 30 largest hold 2565, the 29 largest 2494

    assert "half of the positive relevance lies on 2 % of the image" in described(relevance)
    assert "half of the positive relevance lies on 30 % of the image" in described(flat)


def test_every_pixel_alike_but_one_is_spread():
    relevance = np.ones((30, 30))
    relevance[0, 0] = 0.5

    assert described(relevance).startswith("Is spread over the image: half of the positive relevance lies on")


@pytest.mark.parametrize(
    ("part", "place"),
    [
        (np.s_[:, :15], "left side"),
        (np.s_[:, 15:], "right side"),
        (np.s_[:12], "upper part"),
        (np.s_[18:], "lower part"),
    ],
    ids=["left", "right", "upper", "lower"],
)
def test_relevance_all_over_a_half_is_on_that_side(part, place):
    relevance = np.zeros((30, 30))
    relevance[part] = np.random.default_rng(0).uniform(0.5, 1, relevance[part].shape)

    assert described(relevance).startswith(f"Looks at the {place}: ")


def test_two_spots_on_either_side_are_no_side():
    assert described(square(13, 0) + square(13, 26)).startswith("Is scattered over the image")


MIRRORED = {"left": "right", "right": "left", "upper": "lower", "lower": "upper"}


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_mirror_changes_sides_and_nothing_else(size):
    for left, top in itertools.product(range(31 - size), (0, 9, 14, 20)):
        relevance = square(top, left, size)
        words = described(relevance)

        assert described(relevance[:, ::-1]) == re.sub("left|right", lambda word: MIRRORED[word[0]], words)
        assert described(relevance[::-1]) == re.sub("upper|lower", lambda word: MIRRORED[word[0]], words)


def test_few_pixels_far_apart_are_scattered():
    relevance = np.zeros((30, 30))
    relevance[[2, 2, 27, 27], [2, 27, 2, 27]] = 1

    assert described(relevance).startswith("Is scattered over the image: half")


@pytest.mark.parametrize(
    ("region", "ending"),
    [
        (square(2, 2, 8) > 0, "All of it is on the object, which covers 7 % of the image."),
        (square(20, 20, 3) > 0, "None of it is on the object, which covers 1 % of the image."),
        (square(0, 0, 30) > 0, "The object fills the image."),
        (np.zeros((30, 30), bool), "No object is marked."),
    ],
    ids=["on", "off", "all", "none"],
)
def test_on_or_off_the_object(region, ending):
    assert described(square(3, 3), region).endswith(ending)


def test_a_share_on_the_object_stands_beside_what_chance_would_give():
    relevance = np.ones((30, 30))
    relevance[:, 0] = 2  # 930 in all
    left, right = np.zeros((2, 30, 30), bool)
    left[:, :15] = True  # half of the image, 480 of 930
    right[:, 15:] = True

    assert "52 % of it is on the object, which covers 50 % of the image, hardly more than chance" in described(
        relevance, left
    )
    assert "48 % of it is on the object, which covers 50 % of the image, less than chance" in described(
        relevance, right
    )


def test_evidence_against_is_weighed():
    relevance = square(3, 3, 2, 3.0) + square(20, 20, 2, -1.0)  # 12 for, 4 against

    assert described(relevance).endswith("25 % of all relevance speaks against the class.")
    assert "against" not in described(square(3, 3))


def test_what_is_no_map_is_said():
    broken = square(3, 3)
    broken[0, 0] = np.nan
    twice = broken.copy()
    twice[0, 1] = np.inf

    assert described(np.full((4, 4), 0.25)) == "The map is constant: every pixel is given 0.25."
    assert described(-square(3, 3)) == "No pixel speaks for the class: no relevance is positive."
    assert described(broken) == "The map cannot be read: 1 pixel of 900 is not finite."
    assert described(twice) == "The map cannot be read: 2 pixels of 900 are not finite."


@pytest.mark.parametrize("factor", [1e-30, 1.0, 1e30])
def test_scale_does_not_change_a_word(factor):
    relevance = np.random.default_rng(0).normal(size=(20, 20))
    region = square(2, 2, 8, shape=(20, 20)) > 0

    assert described(relevance * factor, region) == described(relevance, region)


def test_float32_maps_are_read_too():
    assert described(square(3, 3).astype(np.float32)) == described(square(3, 3))


@pytest.mark.usefixtures("unchecked")
def test_other_shapes_are_refused():
    with pytest.raises(InvalidValueError, match=r"must be \(H, W\) and not empty, got \(3, 4, 4\)"):
        described(np.zeros((3, 4, 4)))
    with pytest.raises(InvalidValueError, match=r"region must be \(30, 30\), the map's, got \(2, 2\)"):
        described(square(1, 1), np.zeros((2, 2), bool))
