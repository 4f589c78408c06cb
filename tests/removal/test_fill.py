import numpy as np
import pytest
import torch
from torch import nn

from xai_bench.adapters import Preprocessing, VisionModel
from xai_bench.catalogue import describe
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.removal import REMOVALS, Fill
from xai_bench.removal.fill import NAMES
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


# The image's own colours

STD = (0.5, 0.25, 2.0)
OWN = {
    "image_mean": lambda values: values.mean((2, 3), keepdims=True),
    "image_scalar_mean": lambda values: values.mean((1, 2, 3), keepdims=True),
    "image_min": lambda values: values.min((1, 2, 3), keepdims=True),
    "image_max": lambda values: values.max((1, 2, 3), keepdims=True),
}
NOISE = Noise(0, "fill", ("a", "b"))


@pytest.mark.parametrize("colour", OWN)
def test_the_images_own_colour_is_that_of_the_normalised_image(model, colour):
    """As numpy finds it on what the model is given, image by image; `model` pools, so its logits are the colour."""
    images = torch.rand(2, 3, 4, 4)
    values = (images.double().numpy() - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    removal = Fill(colour)
    logits = removal.see(model, images, torch.zeros(2, 4, 4), removal.prepare(model, images, NOISE))
    expected = np.broadcast_to(OWN[colour](values), (2, 3, 1, 1))[..., 0, 0]

    np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_the_images_own_colours_on_paper():
    """Two pixels: normalised red 0 and 4, green 0 and 8, blue 0 and 0; mean and deviation 0.5 and 0.125, 0.0625, 1."""
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = VisionModel(
        module, name="m", mean=(0.5,) * 3, std=(0.125, 0.0625, 1.0), preprocessing=Preprocessing((1, 2))
    )
    image = torch.tensor([[[[0.5, 1.0]], [[0.5, 1.0]], [[0.5, 0.5]]]])
    colours = {name: Fill(name).prepare(model, image, Noise(0, "fill", ("a",))).flatten().tolist() for name in OWN}

    assert colours["image_mean"] == [0.75, 0.75, 0.5]
    assert colours["image_scalar_mean"] == [0.75, 0.625, 2.5]  # (0 + 4 + 0 + 8 + 0 + 0) / 6 = 2, times std, plus mean
    assert colours["image_min"] == [0.5, 0.5, 0.5]
    assert colours["image_max"] == [1.5, 1.0, 8.5]  # 8 in every channel


def test_the_scalar_mean_does_not_drift_with_what_was_removed(model):
    """At each step the removed pixels have the clean image's mean; a mean taken anew (Quantus) runs away from it."""
    images, removal = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)), Fill("image_scalar_mean")
    state = removal.prepare(model, images, Noise(0, "fill", ("a",)))
    brightest, clean = model.normalise(images).sum(1).flatten().argsort(descending=True), model.normalise(images)
    fixed, anew, keep = [], clean.clone(), torch.ones(1, 4, 4)
    for pixel in brightest[:6].tolist():
        keep.view(-1)[pixel] = 0
        altered = model.normalise(removal.alter(images, keep, state))
        fixed.append(altered.flatten(2)[0, :, brightest[0]])
        anew.flatten(2)[..., pixel] = anew.mean()
    drifted = anew.flatten(2)[0, 0, brightest[5]]

    torch.testing.assert_close(torch.stack(fixed), clean.mean().expand(6, 3), atol=1e-6, rtol=0)
    assert (drifted - clean.mean()).abs() > 0.1


def test_the_spec_tells_the_colours_apart():
    specs = {describe(Fill(colour)) for colour in (*NAMES, (127 / 255,) * 3)}

    assert len(specs) == len(NAMES) + 1
    assert describe(Fill("image_scalar_mean")) == "fill(colour=image_scalar_mean)"


def test_a_misspelt_colour_of_the_image_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'image_mean'"):
        Fill("image_mea")
