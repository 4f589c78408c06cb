import numpy as np
import pytest
import torch
from scipy import ndimage

from xai_bench.errors import InvalidValueError
from xai_bench.oracles import Sum, as_model
from xai_bench.removal import NeighbourNoise
from xai_bench.seeding import Noise


def field(images, width=3, seed=0):
    noise = Noise(seed, "noise", tuple(map(str, range(len(images)))))
    return NeighbourNoise(width).prepare(as_model(Sum(), tuple(images.shape[2:])), images, noise)


@pytest.fixture
def images():
    return torch.rand(2, 3, 12, 17, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("width", [3, 5])
def test_the_noise_spans_the_range_of_the_neighbourhood_as_scipy_finds_it(images, width):
    """600 draws: uniform between scipy's minimum and maximum filters (their `nearest` border adds no new value)."""
    size = (1, 1, width, width)
    low, high = (
        rank(images.numpy(), size, mode="nearest") for rank in (ndimage.minimum_filter, ndimage.maximum_filter)
    )
    draws = np.stack([field(images, width, seed).numpy() for seed in range(600)])
    places = (draws - low) / (high - low)

    np.testing.assert_allclose(places.mean(0), 0.5, atol=0.07)  # 6 standard deviations
    np.testing.assert_allclose(places.min(0), 0, atol=0.03)
    np.testing.assert_allclose(places.max(0), 1, atol=0.03)
    assert -1e-5 < places.min()
    assert places.max() < 1 + 1e-5


def test_channels_do_not_mix():
    images = torch.zeros(1, 3, 4, 4)
    images[:, 0], images[:, 2] = 0.25, torch.rand(4, 4)
    noise = field(images)

    assert torch.equal(noise[:, :2], images[:, :2])
    assert not torch.equal(noise[:, 2], images[:, 2])


def test_an_even_image_stays_as_it_is():
    images = torch.full((2, 3, 5, 5), 0.3)

    assert torch.equal(field(images), images)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2)])
def test_an_image_smaller_than_the_window_is_one_neighbourhood(size):
    images = torch.rand(1, 3, *size)
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    noise = field(images, 15)

    assert noise.shape == images.shape
    assert ((noise >= low - 1e-6) & (noise <= high + 1e-6)).all()


def test_an_image_has_its_own_draw_whatever_stands_beside_it(images):
    alone = NeighbourNoise().prepare(as_model(Sum(), (12, 17)), images[1:], Noise(0, "noise", ("1",)))

    assert torch.equal(field(images)[1:], alone)
    assert not torch.equal(field(images), field(images, seed=1))


@pytest.mark.parametrize("width", [1, 4, -3])
def test_a_window_without_a_centre_or_neighbours_is_refused(width):
    with pytest.raises(InvalidValueError, match="must be an odd number of pixels from 3 on, got"):
        NeighbourNoise(width)
