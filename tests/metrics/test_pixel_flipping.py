"""Pixel flipping on paper, and against Quantus."""

import numpy as np
import pytest
import torch
from peer_set import REAL, images, module, normalised, real_case, scores, small_case

from xai_bench.engine import Case, Scene
from xai_bench.metrics import METRICS, score
from xai_bench.metrics.pixel_flipping import PixelFlipping
from xai_bench.oracles import IMAGE, PIXELS, Sum, as_model
from xai_bench.removal import Fill
from xai_bench.types import Batch

quirks = pytest.mark.filterwarnings("ignore")  # whatever the peer and what it imports warn of
SIZE = (36, 36)  # Quantus wants a step that divides H W, whole pixels need a multiple of 3: 48 values are 16 pixels


def of_a_sum(maps=PIXELS, **fields):
    metric = PixelFlipping(**{"removal": Fill("black"), "steps": 4, "output": "logit"} | fields)
    return score(metric, Case(Scene(as_model(Sum()), Batch(IMAGE, ("a",))), maps)).values.item()


def test_pixel_flipping_of_a_sum_is_the_hand_computed_mean():
    # curve (1) .6 .3 .1 0, the clean point left out
    assert of_a_sum() == pytest.approx(0.25)
    assert of_a_sum(-PIXELS) == pytest.approx((0.9 + 0.7 + 0.4 + 0) / 4)  # the worst order


def test_the_area_of_quantus_takes_points_as_1_apart():
    assert of_a_sum(area="trapezoid_dx1") == pytest.approx(0.6 / 2 + 0.3 + 0.1 + 0 / 2)


def test_one_step_is_the_image_with_everything_removed():
    assert of_a_sum(steps=1) == pytest.approx(0.0)


def test_the_image_minimum_is_what_stands_in_for_a_flipped_pixel():
    # black is .1 here: .4 .3 .2 .1 -> 1 - .3, - .2, - .1, - 0
    flipped = [0.7, 0.5, 0.4, 0.4]

    assert of_a_sum(removal=Fill("image_min")) == pytest.approx(sum(flipped) / 4)


def points(metric, case):
    """The values that count, (B, S)."""
    curve = metric.curve(case)
    return curve.values[curve.evaluated].view(len(case.batch), -1).numpy()


def quantus(case, pixels, *, area=True, baseline="black", **options):
    """Areas (B,) or curves (B, S) of Quantus with a map repeated over the channels, so that pixels move whole."""
    peer, patch = pytest.importorskip("quantus"), pytest.MonkeyPatch()
    with patch.context() as numpy:
        numpy.setattr(np, "trapz", np.trapezoid, raising=False)  # Quantus 0.6 fails without it on numpy 2.4
        if 224 * 224 % (3 * pixels):
            numpy.setattr("quantus.helpers.asserts.assert_features_in_step", lambda **_: None)
        flip = peer.PixelFlipping(
            features_in_step=3 * pixels,
            normalise=False,
            perturb_baseline=baseline,
            return_auc_per_sample=area,
            disable_warnings=True,
            **options,
        )
        repeated = case.maps[:, None].repeat(1, 3, 1, 1).numpy()
        given = {"x_batch": normalised(case).numpy(), "y_batch": case.scene.targets.numpy(), "a_batch": repeated}
        return np.array(flip(model=module(case), **given, device="cpu", batch_size=64))


@quirks
@pytest.mark.parametrize("mean", [(0.4, 0.5, 0.3), (0.5, 0.5, 0.5)])
def test_quantus_on_a_small_network(mean):
    case = small_case(SIZE, 4, mean=mean)
    theirs = quantus(case, 16)

    np.testing.assert_allclose(scores(case, {"name": "pixel_flipping@quantus", "steps": "16 units"}), theirs, atol=1e-4)
    assert theirs.std() > 0.1


@quirks
def test_the_steps_of_the_protocol_are_those_of_features_in_step_672():
    case = small_case((42, 48), 2)  # 2016 pixels, 9 steps

    np.testing.assert_allclose(scores(case, "pixel_flipping@quantus"), quantus(case, 224), atol=1e-4)


@quirks
def test_the_curve_is_the_one_of_quantus():
    case = small_case(SIZE, 2)
    metric = METRICS.build({"name": "pixel_flipping@quantus", "steps": "144 units"})

    np.testing.assert_allclose(points(metric, case), quantus(case, 144, area=False), atol=1e-5)


@quirks
def test_the_mean_of_quantus_drifts_and_ours_does_not():
    """In Quantus 0.6 it is taken anew from the perturbed image at every step. Ours is that of the clean image."""
    case = small_case(SIZE, 2)
    wanted = {"name": "pixel_flipping@quantus", "steps": "144 units", "removal": Fill("image_scalar_mean")}
    ours = points(METRICS.build(wanted), case)
    drifting = quantus(case, 144, area=False, baseline="mean")
    first = quantus_steps_with_the_clean_mean(case, 144)

    np.testing.assert_allclose(ours, first, atol=1e-5)
    np.testing.assert_allclose(ours[:, 0], drifting[:, 0], atol=1e-5)  # at first both take the clean image's
    assert np.abs(ours - drifting)[:, 1:].max() > 1e-3


def quantus_steps_with_the_clean_mean(case, pixels):
    """Quantus again, told each image's own number instead of a word."""
    found = []
    for row in range(len(case.batch)):
        pictures = Batch(case.batch.images[row : row + 1], case.batch.ids[row : row + 1])
        scene = Scene(case.scene.model, pictures, targets=case.scene.targets[row : row + 1])
        alone = Case(scene, case.maps[row : row + 1])
        found.append(quantus(alone, pixels, area=False, baseline=normalised(alone).mean().item())[0])
    return np.array(found)


@quirks
def test_single_colours_move_at_different_times_in_quantus():
    """Its default: with one map for three channels, ties between a pixel's colours are broken as sorting happens to."""
    case = small_case(SIZE, 2)
    peer = pytest.importorskip("quantus")
    flip = peer.PixelFlipping(features_in_step=16, normalise=False, disable_warnings=True)
    repeated = case.maps[:, None].repeat(1, 3, 1, 1).numpy()
    given = {"x_batch": normalised(case).numpy(), "y_batch": case.scene.targets.numpy(), "a_batch": repeated}
    single = np.array(flip(model=module(case), **given, device="cpu"))
    ours = points(METRICS.build({"name": "pixel_flipping@quantus", "steps": "16 units"}), case)

    assert single.shape[1] == 3 * ours.shape[1]
    np.testing.assert_allclose(single[:, 2::3], ours, atol=1e-5)  # every third point is of whole pixels


def test_a_colour_outside_the_image_range_is_allowed_where_the_minimum_is_tinted():
    """The lowest normalised value, put into every channel, is no grey where the channels' means differ."""
    case = small_case((20, 20), 1, torch.rand(1, 20, 20))
    colour = case.scene.state(Fill("image_min"))[0, :, 0, 0]
    lowest = (colour - torch.tensor(case.scene.model.mean)) / torch.tensor(case.scene.model.std)

    assert lowest.tolist() == pytest.approx([normalised(case).min().item()] * 3, abs=1e-6)
    assert images(1, (20, 20)).min() > colour.min()


@pytest.mark.realset
@quirks
@pytest.mark.parametrize("name", REAL)
def test_quantus_on_real_images(name, realset):
    case = real_case(name, realset)

    np.testing.assert_allclose(
        scores(case, {"name": "pixel_flipping@quantus", "steps": "7168 units"}), quantus(case, 7168), atol=1e-4
    )
