"""Quantus 0.6.0 beside the metrics along a ranking: equal where both define the same, and why not elsewhere.

Quantus gets the images in [0, 1] and a model that normalises them, so that a number it puts in the place of a pixel is
the colour that we put there. Where it takes one-channel maps badly, the function it perturbs with is handed in.
"""

from functools import cached_property
from unittest import mock

import numpy as np
import pytest
import torch
from torch.nn import functional

import xai_bench as xb
from xai_bench.engine import Case, Patch, Pixel, Scene, Slic
from xai_bench.metrics import score
from xai_bench.metrics.irof import Irof
from xai_bench.metrics.monotonicity import Monotonicity
from xai_bench.metrics.monotonicity_correlation import AnyColour, MonotonicityCorrelation
from xai_bench.metrics.region_perturbation import RegionPerturbation
from xai_bench.metrics.selectivity import Selectivity
from xai_bench.oracles import Linear, Sum, as_model
from xai_bench.removal import Fill
from xai_bench.types import Batch

quantus = pytest.importorskip("quantus")
pytestmark = pytest.mark.filterwarnings("ignore")  # whatever the peer and what it imports warn of

GREY = 0.5
PLAIN = {"normalise": False, "abs": False, "disable_warnings": True}
REAL = {"mobilenetv2_100": {"pad_type": "same"}, "vit_tiny_patch16_224": {}}


class Both:
    """A model, images and maps, and how Quantus is called on them."""

    def __init__(self, model, images, maps, targets=None):
        self.model, self.images, self.maps = model, images, maps
        batch = Batch(images, tuple(map(str, range(len(images)))))
        self.case = Case(Scene(model, batch, targets=targets), maps)

    @cached_property
    def module(self):
        return Normalising(self.model)

    def ours(self, metric):
        return score(metric, self.case).values.numpy()

    def quantus(self, metric, maps=None, batch_size=64, count=None, softmax=True):
        given = {
            "x_batch": self.images[:count].numpy(),
            "y_batch": self.case.scene.targets[:count].numpy(),
            "a_batch": (self.maps if maps is None else maps)[:count, None].numpy(),
        }
        with (
            mock.patch.object(np, "trapz", np.trapezoid, create=True),  # numpy 2.4 has no more trapz
            mock.patch("quantus.helpers.asserts.assert_features_in_step"),
            torch.no_grad(),
        ):
            found = metric(model=self.module, **given, device="cpu", softmax=softmax, batch_size=batch_size)
        return np.array(found, dtype=np.float64)


class Normalising(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model, self.inner = model, model.module
        self.eval()

    def forward(self, images):
        return self.model.module(self.model.normalise(images.float()))


def smooth(count, size, cells=7, seed=1):
    """Maps without ties, coarse structure in them."""
    coarse = torch.rand(count, 1, cells, cells, generator=torch.Generator().manual_seed(seed))
    return functional.interpolate(coarse, size=(size, size), mode="bicubic")[:, 0]


def small():
    torch.manual_seed(0)
    head = torch.nn.Linear(128, 4)
    head.weight.data *= 5
    parts = torch.nn.Conv2d(3, 8, 5, 2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), head
    means = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.2)}
    model = xb.load_model(torch.nn.Sequential(*parts).eval(), **means, input_size=56, device="cpu")
    return Both(model, smooth(48, 56, 4, seed=2).clamp(0, 1).view(16, 3, 56, 56), smooth(16, 56))


def real(name, realset):
    weights = realset / "weights" / f"{name}.safetensors"
    half = (GREY, GREY, GREY)
    model = xb.load_model(f"timm:{name}", checkpoint=weights, device="cpu", mean=half, std=half, **REAL[name])
    images = xb.load_data("imagenet_val", path=realset, size=224, n=4).batch(0, 4).images
    return Both(model, images, smooth(4, 224))


@pytest.fixture(scope="module", params=["small", *(pytest.param(name, marks=pytest.mark.realset) for name in REAL)])
def both(request):
    return small() if request.param == "small" else real(request.param, request.getfixturevalue("realset"))


@pytest.fixture(scope="module")
def one():
    return small()


def side(both):
    """So that 49 patches cover an image."""
    return both.images.shape[-1] // 7


FILL = Fill((GREY, GREY, GREY))


@pytest.mark.parametrize("order", ["morf", "lerf"])
def test_region_perturbation_is_the_mean_of_quantus_falls_and_the_clean_0(both, order):
    peer = quantus.RegionPerturbation(
        patch_size=side(both), regions_evaluation=6, order=order, perturb_baseline=GREY, **PLAIN
    )
    falls = both.quantus(peer)  # (B, 6): f(x) - f(x_k) for k = 1 ... 6
    ours = both.ours(RegionPerturbation(FILL, order, Patch(side(both)), regions=6))

    assert falls.std() > 1e-3
    assert ours == pytest.approx(falls.sum(1) / 7, abs=1e-4)


def test_selectivity_is_the_area_under_quantus_curve_with_the_clean_end(both):
    cell = both.images.shape[-1] // 4
    peer = quantus.Selectivity(patch_size=cell, perturb_baseline=GREY, **PLAIN)
    left = both.quantus(peer)  # (B, 16)
    clean = both.case.scene.output("probability").numpy()
    ours = both.ours(Selectivity(FILL, Patch(cell)))

    assert left.std() > 1e-3
    assert ours == pytest.approx((clean / 2 + left[:, :-1].sum(1) + left[:, -1] / 2) / 16, abs=1e-4)


def irof(both, unit, count=None, batch_size=1):
    """Quantus' IROF on our segments, with a mask that spreads over the colours, and f(x_1) / f(x)."""
    labels = {each.numpy().tobytes(): row for row, each in enumerate(both.images.permute(0, 2, 3, 1).double())}
    partition = both.case.partition(unit)

    def segments(img, segmentation_method):
        return partition.labels[labels[np.ascontiguousarray(img).tobytes()]].numpy()

    peer = quantus.IROF(
        perturb_func=lambda arr, mask, **_: np.where(mask, np.float32(GREY), arr), return_aggregate=False, **PLAIN
    )
    with mock.patch("quantus.helpers.utils.get_superpixel_segments", segments):
        return both.quantus(peer, count=count, batch_size=batch_size)


def test_irof_is_that_of_quantus_divided_by_the_segments_with_the_clean_end(both):
    unit = Slic(segments=12)
    counts = np.array(both.case.partition(unit).counts)
    metric = Irof(FILL, unit)
    first = metric.curve(both.case).values[:, 1].numpy()  # f(x_1) / f(x)
    ours = both.ours(metric)

    assert len(set(counts)) > 1
    assert ours == pytest.approx((irof(both, unit) - (1 + first) / 2) / counts, abs=1e-4)


def test_quantus_irof_depends_on_the_batch_where_segments_differ_in_number_and_ours_does_not(one):
    # the curve of an image with fewer segments ends in a fall to 0, of which it counts half the last point
    unit = Slic(segments=12)
    counts = np.array(one.case.partition(unit).counts)
    last = Irof(FILL, unit).curve(one.case).values[:, -1].numpy()
    alone, together = irof(one, unit), irof(one, unit, batch_size=16)

    assert len(set(counts)) > 1
    assert together == pytest.approx(alone - np.where(counts < counts.max(), last / 2, 0), abs=1e-4)
    assert np.abs(together - alone).max() > 1e-3


def test_quantus_irof_refuses_colours_with_one_map_and_ours_does_not(one):
    with pytest.raises(AssertionError, match="shape of arr must be the same as the mask shape"):
        one.quantus(quantus.IROF(perturb_baseline=GREY, **PLAIN))
    assert np.isfinite(one.ours(Irof(FILL))).all()


def sevenths(both, perturb_func=None):
    """Quantus' monotonicity as the image is shown in seven steps."""
    step = both.images[0].numel() // 7
    peer = quantus.Monotonicity(features_in_step=step, perturb_baseline=GREY, perturb_func=perturb_func, **PLAIN)
    return both.quantus(peer).astype(bool)


def test_quantus_monotonicity_of_the_pixels_shown_is_ours(both):
    """Handed a function that shows pixels: Quantus' own puts the baseline in the place of the baseline."""
    pictures = both.images.numpy().reshape(len(both.images), -1)

    def show(arr, indices, **_):
        shown = arr.copy()
        np.put_along_axis(shown, indices, np.take_along_axis(pictures, indices, 1), 1)
        return shown

    theirs = sevenths(both, show)
    ours = both.ours(Monotonicity(FILL, unit=Pixel(), steps=tuple(step / 7 for step in range(7))))

    assert 0 < theirs.sum() < len(theirs)
    assert ours.astype(bool).tolist() == theirs.tolist()


def test_quantus_monotonicity_as_it_comes_says_true_of_everything(one):
    worse = Both(
        as_model(Linear(-torch.ones(3, 8, 8)), (8, 8)), torch.ones(2, 3, 8, 8), smooth(2, 8), torch.zeros(2).long()
    )

    assert sevenths(one).all()
    assert quantus_says(worse) == [True, True]
    assert worse.ours(Monotonicity(Fill("black"), unit=Patch(2))).tolist() == [0, 0]


def quantus_says(both):
    return both.quantus(quantus.Monotonicity(features_in_step=48, perturb_baseline=0.0, **PLAIN)).astype(bool).tolist()


def test_monotonicity_correlation_with_the_same_draws_is_that_of_quantus(both, monkeypatch):
    cell = both.images.shape[-1] // 4
    samples = 3 if cell < 56 else 1  # each costs 16 passes for every image, on both sides
    count = len(both.images)
    coarse = torch.rand(count, 4, 4, generator=torch.Generator().manual_seed(3))
    maps = coarse.repeat_interleave(cell, 1).repeat_interleave(cell, 2)  # features of equal relevance: a patch
    draws = torch.rand(count, samples, generator=torch.Generator().manual_seed(4))
    numbers = iter(range(10**6))

    def uniform(low=0.0, high=1.0, size=None):
        return draws[:size, next(numbers) % samples].numpy()

    peer = quantus.MonotonicityCorrelation(nr_samples=samples, features_in_step=3 * cell**2, **PLAIN)
    with mock.patch.object(np.random, "uniform", uniform):
        theirs = both.quantus(peer, maps=maps)
    monkeypatch.setattr(
        AnyColour,
        "prepare",
        lambda self, _model, images, _noise: draws[:, self.draw, None, None, None].expand(count, 3, 1, 1),
    )
    looked = Case(Scene(both.model, both.case.batch, targets=both.case.scene.targets), maps)
    ours = score(MonotonicityCorrelation(Patch(cell), samples), looked).values.numpy()

    assert theirs.std() > 0.05
    assert ours == pytest.approx(theirs, abs=1e-4)


def test_a_grid_that_does_not_divide_the_image_begins_elsewhere():
    # 12 pixels in cells of 8: Quantus puts the grid in the middle (6 + 6), ours begins at the upper left (8 + 4)
    images, maps = torch.ones(1, 3, 12, 12), torch.zeros(1, 12, 12)
    maps[:, :4, :4] = 1.0
    both = Both(as_model(Sum(), (12, 12)), images, maps)
    peer = quantus.RegionPerturbation(patch_size=8, regions_evaluation=1, perturb_baseline=0.0, **PLAIN)
    fall = both.quantus(peer, softmax=False)[0, 0]

    assert fall == pytest.approx(36)
    assert both.ours(RegionPerturbation(Fill("black"), unit=Patch(8), regions=1, output="logit"))[0] == pytest.approx(
        32
    )


def test_the_mean_that_quantus_puts_in_drifts_and_our_colour_stays():
    # left half white, right half black: the mean is .5, but .25 once the left half is .5, so that 48 of 64 are left
    images, maps = torch.zeros(1, 3, 8, 16), torch.zeros(1, 8, 16)
    images[..., :8], maps[..., :8] = 1.0, 1.0
    both = Both(as_model(Sum(), (8, 16)), images, maps)
    peer = quantus.RegionPerturbation(patch_size=8, regions_evaluation=2, perturb_baseline="mean", **PLAIN)

    assert both.quantus(peer, softmax=False)[0].tolist() == pytest.approx([32, 64 - 48])
    curve = RegionPerturbation(FILL, unit=Patch(8), output="logit").curve(both.case)
    assert curve.values[0].tolist() == pytest.approx([0, 32, 0])
