"""How small a part is enough, on paper."""

import pytest
import torch

from xai_bench.engine import Case, Patch, Scene
from xai_bench.errors import InvalidValueError
from xai_bench.metrics import score
from xai_bench.metrics.minimal_sufficient_region import MinimalSufficientRegion
from xai_bench.oracles import IMAGE, PIXELS, Sum, as_model
from xai_bench.removal import Fill
from xai_bench.types import Batch

WHITE = torch.ones(1, 3, 2, 2)


class Corner(torch.nn.Module):
    """Class 1 where the upper left pixel is white, else class 0."""

    def forward(self, images):
        corner = images[:, 0, 0, 0]
        return torch.stack([torch.full_like(corner, 0.5), corner], 1)


class Counted(torch.nn.Module):
    """Class 1 where the number of white pixels is one of these, else class 0."""

    def __init__(self, *counts):
        super().__init__()
        self.counts = counts

    def forward(self, images):
        total = images.mean(1).sum((1, 2)).round()
        hit = sum((total == count).float() for count in self.counts)
        return torch.stack([torch.full_like(hit, 0.5), hit], 1)


def found(module, maps=PIXELS, images=WHITE, targets=None, **changed):
    case = Case(Scene(as_model(module), Batch(images, ("a",)), targets=targets), maps)
    return score(MinimalSufficientRegion(**{"removal": Fill("black"), "steps": 4} | changed), case)


def test_the_pixel_that_decides_comes_first_or_last():
    assert found(Corner()).values.item() == 0.25
    assert found(Corner(), -PIXELS).values.item() == 1.0


def test_the_first_share_and_the_one_from_which_on_it_stays():
    assert found(Counted(1, 3, 4)).values.item() == 0.25
    assert found(Counted(1, 3, 4), rule="stays").values.item() == 0.75
    assert found(Counted(4)).values.item() == 1.0


def test_a_share_of_the_clean_probability_may_be_asked_for():
    # shown .4, .7, .9, 1 of the sum: p = .599, .668, .711, .731; nine tenths of the clean one are .658
    assert found(Sum(), images=IMAGE, level=0.9).values.item() == 0.5
    assert found(Sum(), images=IMAGE, level=0.6).values.item() == 0.0  # p = .5 with nothing shown, .439 are asked for
    assert found(Sum(), images=IMAGE, level=1.0).values.item() == 1.0


def test_shares_are_as_fine_as_the_steps_and_units():
    assert found(Corner(), steps=2).values.item() == 0.5
    assert found(Corner(), unit=Patch(2)).values.item() == 0.75  # what is removed is counted: a quarter of 1 is none
    assert found(Corner(), unit=Patch(2), steps="each").values.item() == 1.0
    assert found(Corner(), steps="each").values.item() == 0.25


def test_a_substrate_that_is_taken_for_the_target_leaves_nothing_to_show():
    assert found(Counted(0, 4)).values.item() == 0.0
    assert found(Counted(0, 4), -PIXELS, rule="stays").values.item() == 1.0


def test_a_target_that_the_clean_image_is_not_is_undefined():
    wrong = found(Corner(), targets=torch.tensor([0]))

    assert wrong.values.isnan().all()
    assert wrong.reasons == ("clean image is not predicted as the target",)
    assert found(Corner(), targets=torch.tensor([0]), level=0.5).reasons == ("",)


@pytest.mark.parametrize("level", [0.0, 1.5])
def test_impossible_levels_are_refused(level):
    with pytest.raises(InvalidValueError, match=r"level of minimal_sufficient_region must be in \(0, 1\]"):
        MinimalSufficientRegion(level=level)
