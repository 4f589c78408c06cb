"""Augmentation: the mask moves with the image, chance is the seed's, and nothing else is left changed."""

import random

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from xai_bench.data import Preprocessing
from xai_bench.training.augment import Light, Seen, Timm, Unchanged, Whole, drawn

GREY = (0.5, 0.5, 0.5)


def seen(height: int = 40, width: int = 56) -> Seen:
    """A white object on black, which is also its own mask."""
    region = torch.zeros(height, width, dtype=torch.bool)
    region[5:20, 8:40] = True
    return Seen(region.float().expand(3, -1, -1).contiguous(), region)


def test_the_mask_goes_where_the_image_goes():
    """Where the object is white, the mask is true, and away from it false, but for the rim that interpolation greys."""
    for seed in range(20):
        with drawn(seed):
            image, region = Light()(seen(), (32, 32), GREY)
        white = image[0] > 0.9
        black = functional.max_pool2d(image[:1], 3, stride=1, padding=1)[0] < 0.1  # two pixels from the rim

        assert image.shape == (3, 32, 32)
        assert region.dtype == torch.bool
        assert region[white].all()
        assert not region[black].any()
        assert 100 < white.sum() < 500


def test_a_crop_of_everything_is_the_image_or_its_mirror():
    whole = Light(scale=(1.0, 1.0), ratio=(1.0, 1.0))
    given = Seen(torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)), None)
    found = []
    for seed in range(20):
        with drawn(seed):
            found.append(whole(given, (32, 32), GREY).image)
    same = [torch.allclose(image, given.image, atol=1e-6) for image in found]
    mirrored = [torch.allclose(image, given.image.flip(-1), atol=1e-6) for image in found]

    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 3 < sum(same) < 17


def test_the_share_of_the_area_is_that_of_the_recipe():
    """A ramp from 0 to 1 across the picture spans, after the crop, as much as the crop is wide."""
    ramp = torch.linspace(0, 1, 400).expand(3, 400, 400).contiguous()
    areas = []
    for seed in range(60):
        with drawn(seed):
            across = Light()(Seen(ramp, None), (64, 64), GREY).image
            spans = (across[0].amax() - across[0].amin()).item()
        with drawn(seed):
            down = Light()(Seen(ramp.transpose(1, 2).contiguous(), None), (64, 64), GREY).image
            areas.append(spans * (down[0].amax() - down[0].amin()).item())

    assert 0.76 < min(areas) < 0.84
    assert 0.94 < max(areas) <= 1


def test_timms_transforms_without_chance_give_the_picture_back():
    still = Timm(scale=(1.0, 1.0), ratio=(1.0, 1.0), hflip=0.0, color_jitter=0.0, interpolation="bilinear")
    image = torch.randint(0, 256, (3, 32, 32), generator=torch.Generator().manual_seed(0)) / 255

    assert torch.allclose(still(Seen(image, None), (32, 32), (0.4, 0.5, 0.6)).image, image, atol=1e-6)


def test_what_timm_erases_has_the_mean_colour():
    erasing = Timm(scale=(1.0, 1.0), ratio=(1.0, 1.0), hflip=0.0, color_jitter=0.0, re_prob=1.0)
    with drawn(0):
        image = erasing(Seen(torch.ones(3, 32, 32), None), (32, 32), (0.4, 0.5, 0.6)).image
    erased = (image != 1).any(0)

    assert erased.any()
    assert image[:, erased].unique(dim=1).flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])


@pytest.mark.parametrize("augment", [Light(), Timm(auto_augment="rand-m9-mstd0.5", re_prob=0.5)])
def test_chance_is_the_seeds_and_the_callers_states_are_put_back(augment):
    def augmented(seed: int) -> Tensor:
        with drawn(seed):
            return augment(Seen(seen().image, None), (32, 32), GREY).image

    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    one, same, other = augmented(1), augmented(1), augmented(2)

    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002


def test_a_gpus_random_state_is_left_alone(monkeypatch):
    """Dropout there would else depend on which process made the images."""
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    with drawn(3):
        torch.rand(1)

    assert seeded == []


def test_whole_pictures_come_as_they_are():
    geometry = Whole((32, 32)).geometry((48, 60))

    assert geometry.scaled == geometry.size == (48, 60)
    assert Unchanged().source(Preprocessing((32, 32))) == Preprocessing((32, 32))
    assert Light().source(Preprocessing((32, 32), interpolation="bilinear")) == Whole(
        (32, 32), interpolation="bilinear"
    )
