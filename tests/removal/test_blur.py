import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from xai_bench.adapters import Preprocessing, VisionModel
from xai_bench.catalogue import describe, label
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.removal import REMOVALS, Blur
from xai_bench.removal.blur import rise_weights
from xai_bench.seeding import Noise

MEAN, STD = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
NOISE = Noise(0, "blur", ("a", "b"))


@pytest.fixture
def model() -> VisionModel:
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return VisionModel(module, name="mean", mean=MEAN, std=STD, preprocessing=Preprocessing((24, 32)))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))


def test_the_gaussian_is_scipys(model, images):
    """scipy calls a reflection that does not repeat the edge `mirror`; sigma is 0.1 of the shorter side, 24."""
    expected = ndimage.gaussian_filter(images.double().numpy(), sigma=(0, 0, 2.4, 2.4), mode="mirror", truncate=4.0)

    np.testing.assert_allclose(Blur().prepare(model, images, NOISE), expected, atol=1e-6)


def test_sigma_means_the_same_at_any_resolution(model):
    ramp = torch.linspace(0, 1, 256).expand(1, 3, 256, 256)
    small = nn.functional.avg_pool2d(ramp, 2)
    expected = nn.functional.avg_pool2d(Blur(0.05).prepare(model, ramp, NOISE), 2)

    torch.testing.assert_close(Blur(0.05).prepare(model, small, NOISE), expected, atol=2e-3, rtol=0)


def test_a_blur_wider_than_the_image_is_almost_its_mean(model):
    images = torch.rand(1, 3, 9, 9)
    blurred = Blur(100.0).prepare(model, images, NOISE)

    assert blurred.shape == images.shape
    assert (blurred.amax((2, 3)) - blurred.amin((2, 3))).max() < 0.15


def test_a_constant_image_stays(model):
    grey = torch.full((1, 3, 24, 24), 0.7)

    torch.testing.assert_close(Blur().prepare(model, grey, NOISE), grey)


def test_rises_weights_are_those_of_its_code():
    """eclique/RISE: gaussian_filter of an 11 x 11 delta with sigma 5; its centre row, over the whole, is one factor."""
    delta = np.zeros((11, 11))
    delta[5, 5] = 1
    expected = ndimage.gaussian_filter(delta, 5)
    weights = rise_weights().numpy()

    np.testing.assert_allclose(np.outer(weights, weights), expected, atol=1e-15)
    np.testing.assert_allclose(weights[:6], [0.0880, 0.0889, 0.0905, 0.0922, 0.0935, 0.0940], atol=5e-5)


def test_rises_blur_is_that_of_the_normalised_image_with_zero_padding(model, images):
    delta = np.zeros((11, 11))
    delta[5, 5] = 1
    kernel = torch.from_numpy(ndimage.gaussian_filter(delta, 5)).expand(3, 1, 11, 11)
    mean, std = (torch.tensor(colour, dtype=torch.float64).view(3, 1, 1) for colour in (MEAN, STD))
    expected = nn.functional.conv2d((images - mean) / std, kernel, padding=5, groups=3)
    seen = model.normalise(Blur(kernel="rise").prepare(model, images, NOISE))

    torch.testing.assert_close(seen.double(), expected, atol=1e-5, rtol=0)


def test_the_spec_says_what_was_used():
    assert describe(Blur()) == "blur(sigma=0.1,kernel=gaussian)"
    assert describe(Blur(kernel="rise")) == "blur(sigma=None,kernel=rise)"
    assert label(REMOVALS.build("blur@rise")) == "blur@rise"
    assert Blur(0.1) == Blur() == REMOVALS.build("blur")


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), float("inf")])
def test_a_sigma_that_is_no_width_is_refused(sigma):
    with pytest.raises(InvalidValueError, match=r"sigma of removal blur .* must be above 0, got"):
        Blur(sigma)


def test_a_sigma_that_would_be_ignored_is_refused():
    with pytest.raises(InvalidValueError, match=r"takes no sigma, got 0\.1"):
        Blur(0.1, kernel="rise")


def test_an_unknown_kernel_is_refused():
    with pytest.raises(UnknownNameError, match="unknown kernel 'gausian'; did you mean 'gaussian'"):
        Blur(kernel="gausian")
