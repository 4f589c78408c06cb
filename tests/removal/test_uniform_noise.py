import pytest
import torch
from scipy import stats

from xai_bench.engine import Scene
from xai_bench.errors import InvalidValueError
from xai_bench.oracles import Sum, as_model
from xai_bench.removal import REMOVALS, UniformNoise
from xai_bench.seeding import Noise
from xai_bench.types import Batch

MODEL = as_model(Sum(), (40, 50))
IMAGES = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(0))
IDS = ("a", "b")


def field(removal=None, seed=0, ids=IDS):
    return (removal or UniformNoise()).prepare(MODEL, IMAGES[: len(ids)], Noise(seed, "noise", ids))


def test_the_noise_is_uniform_between_low_and_high_in_every_channel():
    noise = field(UniformNoise(0.25, 0.75))

    for channel in noise.double().flatten(2).flatten(0, 1):
        assert stats.kstest(channel.numpy(), stats.uniform(0.25, 0.5).cdf).pvalue > 1e-3


def test_pixels_channels_and_images_are_independent():
    noise = field().flatten(2).flatten(0, 1)
    correlation = torch.corrcoef(noise) - torch.eye(6)
    along = torch.corrcoef(torch.stack([noise[:, :-1].flatten(), noise[:, 1:].flatten()]))[0, 1]

    assert correlation.abs().max() < 0.1  # 4.5 standard deviations at 2000 pixels
    assert along.abs() < 0.05


def test_an_image_has_its_own_noise_whatever_stands_beside_it():
    assert torch.equal(field()[1], field(ids=("b",))[0])
    assert torch.equal(field(), field())
    assert not torch.equal(field(), field(seed=1))


def test_a_removed_pixel_has_the_same_noise_at_every_step():
    state, few, many = field(), torch.ones(2, 40, 50), torch.zeros(2, 40, 50)
    few[:, :10] = 0
    early, late = (UniformNoise().alter(IMAGES, keep, state) for keep in (few, many))

    assert torch.equal(early[:, :, :10], late[:, :, :10])
    assert torch.equal(early[:, :, 10:], IMAGES[:, :, 10:])


def test_a_scene_draws_once():
    scene = Scene(MODEL, Batch(IMAGES, IDS), seed=3)

    assert scene.state(UniformNoise()) is scene.state(REMOVALS.build("uniform_noise"))
    assert not torch.equal(scene.state(UniformNoise())[0], scene.state(UniformNoise())[1])


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.5), (0.7, 0.2), (-0.1, 1.0), (0.0, 1.5), (float("nan"), 1.0)])
def test_bounds_that_are_none_are_refused(low, high):
    with pytest.raises(InvalidValueError, match="removal uniform_noise needs 0 <= low < high <= 1, got low"):
        UniformNoise(low, high)
