import pytest
import torch
from torch import nn

from xai_bench.adapters import Preprocessing, VisionModel
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.removal import REMOVALS, Fill
from xai_bench.seeding import Noise

MEAN = (0.1, 0.2, 0.3)


@pytest.fixture
def model() -> VisionModel:
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return VisionModel(module, name="mean", mean=MEAN, std=(0.5, 0.25, 2.0), preprocessing=Preprocessing((4, 4)))


@pytest.mark.parametrize(
    ("colour", "rgb"),
    [
        ("black", (0.0, 0.0, 0.0)),
        ("grey", (0.5, 0.5, 0.5)),
        ("white", (1.0, 1.0, 1.0)),
        ("mean", MEAN),
        ((0.25, 0.0, 1.0), (0.25, 0.0, 1.0)),
    ],
)
def test_removed_pixels_take_the_colour(model, colour, rgb):
    images, noise = torch.rand(2, 3, 4, 4), Noise(0, "fill", ("a", "b"))
    state = Fill(colour).prepare(model, images, noise)
    expected = torch.tensor(rgb).view(1, 3, 1, 1).expand(2, 3, 4, 4)

    assert len(state) == 2
    torch.testing.assert_close(Fill(colour).alter(images, torch.zeros(2, 4, 4), state), expected)


def test_the_mean_colour_is_zero_to_the_model(model):
    images = torch.rand(1, 3, 4, 4)
    state = Fill().prepare(model, images, Noise(0, "fill", ("a",)))
    logits = Fill().see(model, images, torch.zeros(1, 4, 4), state)
    expected = torch.zeros(1, 3)

    torch.testing.assert_close(logits, expected, atol=1e-7, rtol=0)


def test_half_a_pixel_is_half_the_colour(model):
    seen = Fill("white").alter(torch.full((1, 3, 1, 1), 0.5), torch.full((1, 1, 1), 0.5), torch.ones(1, 3, 1, 1))

    assert seen.unique().tolist() == [0.75]


def test_an_unknown_colour_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown colour 'gray'; did you mean 'grey'"):
        Fill("gray")


@pytest.mark.parametrize("colour", [(0.0, 0.5), (0.0, 0.5, 1.5), (0.0, -0.1, 0.0), (0.0, 0.0, float("nan"))])
def test_what_is_no_colour_is_refused(colour):
    with pytest.raises(InvalidValueError, match=r"colour must be .* in \[0, 1\], got"):
        Fill(colour)


def test_a_table_fills_the_colour():
    assert REMOVALS.build({"name": "fill", "colour": [1, 0, 0]}) == Fill((1.0, 0.0, 0.0))
