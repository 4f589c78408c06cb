"""What holds for every removal of the catalogue."""

from functools import cache

import pytest
import torch
from timm import create_model
from torch import nn

from xai_bench.adapters import Preprocessing, VisionModel
from xai_bench.errors import InvalidValueError
from xai_bench.removal import REMOVALS, PixelRemoval
from xai_bench.seeding import Noise

IDS = ("a", "b", "c")
removals = pytest.mark.parametrize("removal", [kind() for kind in REMOVALS.values()], ids=lambda item: item.card.name)


@cache
def convolutional() -> VisionModel:
    torch.manual_seed(0)
    module = nn.Sequential(
        *(nn.Conv2d(3, 8, 5, 2, 2), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)),
        *(nn.Conv2d(8, 8, 3, padding=1), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)),
    )
    with torch.no_grad():
        module(torch.randn(8, 3, 32, 32))
    return vision(module)


@cache
def transformer() -> VisionModel:
    torch.manual_seed(0)
    return vision(create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, depth=2, num_classes=5))


def vision(module: nn.Module) -> VisionModel:
    return VisionModel(
        module.eval(), name="small", mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), preprocessing=Preprocessing((32, 32))
    )


# Entries that the convolutional model cannot stand for, with the model that does
OTHER_MODELS = {
    "token_dropping": transformer,  # it drops a transformer's tokens, and a convolution has none
}


@pytest.fixture
def model(request) -> VisionModel:
    return OTHER_MODELS.get(request.node.callspec.params["removal"].card.name, convolutional)()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def keep() -> torch.Tensor:
    return (torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(2)) > 0.5).float().kron(torch.ones(1, 8, 8))


def seen(removal, model, images, keep, ids=IDS):
    state = removal.prepare(model, images, Noise(0, "removal", ids))
    return removal.see(model, images, keep, state)


@removals
def test_an_image_kept_whole_is_seen_as_it_is(removal, model, images):
    torch.testing.assert_close(seen(removal, model, images, torch.ones(3, 32, 32)), model(images), atol=1e-5, rtol=1e-5)


@removals
def test_removing_a_part_changes_what_is_seen(removal, model, images, keep):
    assert (seen(removal, model, images, keep) - model(images)).abs().amax(1).min() > 1e-3


@removals
def test_nothing_handed_in_is_changed(removal, model, images, keep):
    before = images.clone(), keep.clone(), {name: value.clone() for name, value in model.module.state_dict().items()}
    seen(removal, model, images, keep)

    assert torch.equal(images, before[0])
    assert torch.equal(keep, before[1])
    assert all(torch.equal(value, before[2][name]) for name, value in model.module.state_dict().items())


@removals
def test_a_model_in_training_mode_comes_back_so_and_unmoved(removal, model, images):
    model.module.train()
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    try:
        removal.prepare(model, images, Noise(0, "removal", IDS))

        assert all(part.training for part in model.module.modules())
        assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
    finally:
        model.module.eval()


@removals
def test_the_same_is_seen_twice(removal, model, images, keep):
    assert torch.equal(seen(removal, model, images, keep), seen(removal, model, images, keep))


@removals
def test_a_batch_is_seen_as_its_images_are(removal, model, images, keep):
    singly = [seen(removal, model, images[i : i + 1], keep[i : i + 1], IDS[i : i + 1]) for i in range(3)]

    torch.testing.assert_close(seen(removal, model, images, keep), torch.cat(singly), atol=1e-5, rtol=1e-5)


@removals
def test_rows_of_the_state_can_be_picked(removal, model, images, keep):
    rows = torch.tensor([2, 0, 2])
    state = removal.prepare(model, images, Noise(0, "removal", IDS))
    picked = removal.see(model, images[rows], keep[rows], None if state is None else state[rows])

    torch.testing.assert_close(picked, removal.see(model, images, keep, state)[rows], atol=1e-5, rtol=1e-5)


@removals
def test_with_everything_removed_a_pixel_removal_shows_its_substrate(removal, model, images):
    if not isinstance(removal, PixelRemoval):
        pytest.skip("not a removal of pixels")
    state = removal.prepare(model, images, Noise(0, "removal", IDS))

    assert torch.equal(removal.alter(images, torch.zeros(3, 32, 32), state), state.expand_as(images))


@pytest.mark.parametrize("size", [(24, 40), (3, 2), (1, 1)])
@removals
def test_pixels_of_one_image_of_any_shape_are_removed(removal, model, size):
    """None, the first, all; also of images smaller than any kernel."""
    if not isinstance(removal, PixelRemoval):
        pytest.skip("not a removal of pixels")
    image, keep = torch.rand(1, 3, *size), torch.ones(3, *size)
    keep[1, 0, 0], keep[2] = 0, 0
    state = removal.prepare(model, image, Noise(0, "removal", ("a",)))
    whole, without_first, nothing = (removal.alter(image, mask[None], state) for mask in keep)

    torch.testing.assert_close(whole, image)
    torch.testing.assert_close(nothing, state.expand_as(image))
    assert without_first.shape == image.shape
    assert without_first.isfinite().all()


@removals
def test_a_soft_mask_is_seen_or_refused_by_name(removal, model, images):
    soft = torch.full((3, 32, 32), 0.25)
    if removal.soft:
        assert seen(removal, model, images, soft).isfinite().all()
    else:
        with pytest.raises(InvalidValueError, match=rf"{removal.card.name}.* values in \[0\.25, 0\.25\]"):
            seen(removal, model, images, soft)


@removals
def test_the_model_of_these_laws_fits(removal, model):
    assert removal.unfit(model) == ""


def test_every_entry_works_with_a_convolutional_model_but_those_listed():
    assert {name for name, kind in REMOVALS.items() if kind().unfit(convolutional())} == set(OTHER_MODELS)


def test_the_catalogue_knows_its_removals_by_name():
    assert {"fill", "blur", "uniform_noise", "neighbour_noise", "noisy_linear", "inpaint", "smooth_edges"} <= set(
        REMOVALS
    )
    assert {"layer_masking", "token_dropping"} <= set(REMOVALS)
    assert all(name == kind.card.name and kind.card.source and kind.card.summary for name, kind in REMOVALS.items())
