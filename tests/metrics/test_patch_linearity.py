"""Patch linearity on paper and in a straight line."""

import math

import pytest
import torch

from xai_bench.engine import Case, Engine, Scene
from xai_bench.errors import InvalidValueError
from xai_bench.metrics import score
from xai_bench.metrics.patch_linearity import PatchLinearity, PatchLinearityError
from xai_bench.oracles import IMAGE, Sum, as_model
from xai_bench.removal import Fill, LayerMasking
from xai_bench.types import Batch

BOTH = (PatchLinearity, PatchLinearityError)
PIXELS = {"side": 1, "of": "logits"}


class Constant(torch.nn.Module):
    """Logits (sum of the grey pixels, 1)."""

    def forward(self, images):
        total = images.mean(1).sum((1, 2))
        return torch.stack([total, torch.ones_like(total)], 1)


def of(kind, module, **options):
    found = score(kind(**PIXELS, **options), Case(Scene(as_model(module), Batch(IMAGE, ("a",)))))
    return found.reasons[0] or found.values.item()


@pytest.mark.parametrize("patches", [2, 3, "all"])
def test_a_sum_over_black_is_linear(patches):
    assert of(PatchLinearity, Sum(), removal=Fill("black"), patches=patches) == pytest.approx(1)
    assert of(PatchLinearityError, Sum(), removal=Fill("black"), patches=patches) == pytest.approx(0, abs=1e-6)


def test_white_surroundings_are_counted_with_every_patch():
    # each of four pixels with three white ones: .4 + 3, .3 + 3, .2 + 3, .1 + 3; all together: 1
    assert of(PatchLinearityError, Sum(), removal=Fill("white"), patches="all") == pytest.approx(12)


def test_a_constant_is_counted_with_every_patch():
    # sum (1, 4) against (1, 1)
    cosine = 5 / (math.sqrt(17) * math.sqrt(2))

    assert of(PatchLinearity, Constant(), removal=Fill("black"), patches="all") == pytest.approx(cosine)
    assert of(PatchLinearityError, Constant(), removal=Fill("black"), patches="all") == pytest.approx(3 / math.sqrt(2))


def test_a_model_that_sees_the_opposite_in_parts_is_at_the_worst_cosine():
    class Turns(torch.nn.Module):
        """Positive while more than half is seen, negative below."""

        def forward(self, images):
            total = images.mean(1).sum((1, 2)) - 0.5
            return torch.stack([total.sign(), torch.zeros_like(total)], 1)

    assert of(PatchLinearity, Turns(), removal=Fill("black"), patches="all") == pytest.approx(-1)


def test_what_has_no_direction_is_undefined():
    class Blind(torch.nn.Module):
        def forward(self, images):
            return images.new_zeros(len(images), 2)

    class Cancels(torch.nn.Module):
        """The sign of what is seen by the side: parts cancel, the whole does not."""

        def forward(self, images):
            seen = (images.mean(1) > 0).flatten(1).float()
            alone = seen.sum(1) == 1
            signs = (seen * torch.tensor([1.0, -1, 1, -1])).sum(1)
            return torch.stack([torch.where(alone, signs, 1.0), torch.zeros(len(images))], 1)

    for kind in BOTH:
        assert of(kind, Blind(), removal=Fill("black")) == "model sees nothing in the patches"
        assert of(kind, Sum(), patches=5) == "image has too few patches of 1 pixels: 4"
    assert of(PatchLinearity, Cancels(), removal=Fill("black"), patches="all") == "patches cancel out"
    assert of(PatchLinearityError, Cancels(), removal=Fill("black"), patches="all") == pytest.approx(1)


def test_impossible_settings_are_refused():
    with pytest.raises(InvalidValueError, match="patches of patch_linearity must be at least 2 or 'all', got 1"):
        PatchLinearity(patches=1)
    with pytest.raises(InvalidValueError, match="side of unit patch is a number of pixels of at least 1, got 0"):
        PatchLinearity(side=0)


def test_without_a_linear_layer_there_are_no_features():
    assert PatchLinearity().unfit(as_model(Sum())) == (
        "model 'sum' has no linear layer whose input could be read; of='logits' needs none"
    )
    assert PatchLinearity(of="logits").unfit(as_model(Sum())) == ""
    assert "layer masking" in PatchLinearity(removal=LayerMasking(), of="logits").unfit(as_model(Sum()))


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        *(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU()),
        *(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 3)),
    ).eval()
    return module, Batch(torch.rand(3, 3, 16, 16), tuple("abc"))


@pytest.mark.parametrize("of", ["features", "logits"])
@pytest.mark.parametrize("removal", [Fill("grey"), LayerMasking()])
@pytest.mark.parametrize("chunk", [2, 32])
def test_both_in_a_straight_line(small, removal, of, chunk):
    module, batch = small
    model = as_model(module, (16, 16), "1")
    scene = Scene(model, batch, engine=Engine(model, chunk=chunk))
    ours = [score(kind(removal=removal, side=4, of=of), Case(scene)).values for kind in BOTH]
    eyes = as_model(module if of == "logits" else module[:4], (16, 16), "1")
    order = scene.lots("patches", (16,) * 3)

    @torch.inference_mode()
    def seen(image, keep):
        state = removal.prepare(eyes, image[None], scene.noise("x"))
        return removal.see(eyes, image[None], keep[None], state)[0].double()

    for row, image in enumerate(batch.images):
        masks = []
        for cell in order[row, :4].tolist():
            keep = torch.zeros(16, 16)
            keep[cell // 4 * 4 :, cell % 4 * 4 :][:4, :4] = 1
            masks.append(keep)
        apart = sum(seen(image, keep) for keep in masks)
        together = seen(image, sum(masks))
        cosine = apart @ together / apart.norm() / together.norm()

        assert ours[0][row].item() == pytest.approx(cosine.item(), abs=1e-6)
        assert ours[1][row].item() == pytest.approx(((apart - together).norm() / together.norm()).item(), abs=1e-5)
    assert ours[1].min() > 0.1


def test_the_model_keeps_no_hook(small):
    module, batch = small
    score(PatchLinearity(side=4), Case(Scene(as_model(module, (16, 16), "1"), batch)))

    assert not any(part._forward_pre_hooks for part in module.modules())


def test_patches_are_the_same_for_every_removal_and_both_readings_share_their_looks(small):
    module, batch = small
    seen = []
    hook = module.register_forward_hook(lambda *parts: seen.append(len(parts[2])))
    case = Case(Scene(as_model(module, (16, 16), "1"), batch))
    try:
        for kind in BOTH:
            score(kind(side=4), case)
    finally:
        hook.remove()

    assert sum(seen) == 3 * 5 + 3  # four patches and all of them, and the clean images


def test_the_features_are_what_the_last_of_several_linear_layers_takes():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
    batch, settings = Batch(IMAGE, ("a",)), {"removal": Fill("black"), "side": 1, "patches": "all"}
    found = score(PatchLinearityError(**settings), Case(Scene(as_model(module), batch))).values
    cut = score(PatchLinearityError(**settings, of="logits"), Case(Scene(as_model(module[:3]), batch))).values

    assert found.item() == pytest.approx(cut.item(), abs=1e-6)
