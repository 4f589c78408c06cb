import numpy as np
import pytest
import torch
from skimage.restoration import inpaint_biharmonic
from torch.nn import functional

from xai_bench.engine import Case, Scene
from xai_bench.errors import InvalidValueError
from xai_bench.metrics import score
from xai_bench.metrics.deletion import Deletion
from xai_bench.oracles import Sum, as_model
from xai_bench.removal import Inpaint
from xai_bench.seeding import Noise
from xai_bench.types import Batch

FULL = Inpaint(side=None)


def altered(removal, images, keep):
    noise = Noise(0, "inpaint", tuple(map(str, range(len(images)))))
    model = as_model(Sum(), tuple(images.shape[2:]))
    return removal.alter(images, keep, removal.prepare(model, images, noise))


@pytest.fixture
def images():
    return torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def keep():
    return (torch.rand(2, 24, 32, generator=torch.Generator().manual_seed(1)) > 0.6).float()


def test_at_full_resolution_it_is_scikit_images_inpainting(images, keep):
    expected = [
        inpaint_biharmonic(image.permute(1, 2, 0).double().numpy(), mask.numpy() == 0, channel_axis=-1)
        for image, mask in zip(images, keep, strict=True)
    ]

    np.testing.assert_allclose(
        altered(FULL, images, keep).permute(0, 2, 3, 1), np.stack(expected).astype("float32"), atol=1e-6
    )


@pytest.mark.parametrize("side", [None, 12])
def test_a_ramp_is_restored(side):
    """What is smooth has one smoothest continuation; at 12 pixels cells are 2 x 2, so the ramp is right to a step."""
    ramp = torch.linspace(0, 1, 24).expand(1, 3, 24, 24).clone()
    keep = torch.ones(1, 24, 24)
    keep[:, 8:16, 8:16] = 0
    seen = altered(Inpaint(side), ramp, keep)

    torch.testing.assert_close(seen, ramp, atol=1e-3 if side is None else 1 / 23, rtol=0)


def test_visible_pixels_are_not_touched(images, keep):
    for removal in (FULL, Inpaint(8)):
        seen = altered(removal, images, keep)

        assert torch.equal(torch.where(keep[:, None] > 0, seen, 0), torch.where(keep[:, None] > 0, images, 0))
        assert not torch.isclose(seen, images)[:, :, keep[0] == 0].all()


@pytest.mark.parametrize("side", [None, 8])
def test_hidden_pixels_cannot_leak(images, keep, side):
    others = torch.where(keep[:, None] > 0, images, torch.rand_like(images))

    assert torch.equal(altered(Inpaint(side), images, keep), altered(Inpaint(side), others, keep))


def test_an_image_small_enough_is_inpainted_at_full_resolution(images, keep):
    assert torch.equal(altered(Inpaint(32), images, keep), altered(FULL, images, keep))
    assert not torch.equal(altered(Inpaint(31), images, keep), altered(FULL, images, keep))


def test_reduced_it_is_the_mean_of_what_each_cell_shows():
    """Cells of 2 x 2 in which something is visible everywhere: no equation to solve, only means, enlarged."""
    images = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    keep = torch.ones(1, 8, 8)
    keep[:, ::2, ::2] = 0
    shown = images.clone()
    shown[:, :, ::2, ::2] = torch.nan
    means = torch.nanmean(shown.view(1, 3, 4, 2, 4, 2), dim=(3, 5))
    expected = functional.interpolate(means, (8, 8), mode="bilinear")

    torch.testing.assert_close(altered(Inpaint(4), images, keep)[:, :, ::2, ::2], expected[:, :, ::2, ::2])


def test_with_nothing_visible_the_image_has_the_mean_colour(images):
    keep = torch.ones(2, 24, 32)
    keep[1] = 0
    seen = altered(FULL, images, keep)

    assert torch.equal(seen[0], images[0])
    assert (seen[1] == 0).all()  # the mean of a model without normalisation


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (6, 1), (2, 2), (3, 4), (5, 5)])
@pytest.mark.parametrize("side", [None, 2])
def test_the_smallest_images_are_inpainted_within_the_range_of_what_is_visible(size, side):
    images, keep = torch.rand(1, 3, *size) / 2 + 0.25, torch.zeros(1, *size)
    keep[..., 0, 0] = keep[..., -1, -1] = 1
    seen = altered(Inpaint(side), images, keep)
    ends = torch.stack([images[..., 0, 0], images[..., -1, -1]])
    low, high = (end[..., None, None] - 1e-6 * sign for end, sign in zip(ends.aminmax(dim=0), (1, -1), strict=True))

    assert ((seen >= low) & (seen <= high)).all()


def test_it_serves_a_curve():
    """An even image is restored at once: the sum stays until nothing is visible, then it is black."""
    images = torch.full((1, 3, 4, 4), 0.5)
    case = Case(Scene(as_model(Sum(), (4, 4)), Batch(images, ("a",))), torch.rand(1, 4, 4))
    metric = Deletion(removal=Inpaint(), steps=4, output="logit")

    assert score(metric, case).values.item() == pytest.approx(8 * 7 / 8)


@pytest.mark.parametrize("side", [0, -4])
def test_a_side_that_is_none_is_refused(side):
    with pytest.raises(InvalidValueError, match="side of removal inpaint is a number of pixels from 1 on, got"):
        Inpaint(side)
