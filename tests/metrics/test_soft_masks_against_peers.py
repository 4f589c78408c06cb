"""torchcam, pytorch-grad-cam and Xplique's formulas as oracles of average drop, increase in confidence, average gain.

What is theirs and is not ours: logits unless told otherwise (both), a drop that is absolute (pytorch-grad-cam), 1e-7
added below the line (torchcam, Xplique), a CAM that is scaled to [0, 1] before it is made larger and that explains the
probability where the metric reads it (torchcam), absolute values of the map (Xplique: `scaling="absolute"`).
"""

from contextlib import nullcontext
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import xai_bench as xb
from xai_bench.engine import Case, Scene
from xai_bench.metrics import METRICS, score
from xai_bench.metrics.soft_mask import mask
from xai_bench.types import Batch

HALF = (0.5, 0.5, 0.5)
SOFTMAX = partial(torch.softmax, dim=-1)


class Stored:
    """torchcam's idea of an extractor, which gives maps that are there already."""

    def __init__(self, model, maps):
        self.model, self.maps = model, maps

    def __call__(self, class_idx, scores, **options):
        return [self.maps]

    def fuse_cams(self, cams):
        return cams[0]

    def _hooks_off(self):
        return nullcontext()


def small_model(size=32):
    torch.manual_seed(0)
    head = nn.Linear(8, 4)
    head.weight.data *= 40
    module = nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).eval()
    return xb.load_model(module, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.2), input_size=size)


def smooth(count, seed):
    """Fields of 32 x 32 pixels with few waves, that differ."""
    coarse = 2 * torch.randn(*count, 4, 4, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, (32, 32), mode="bicubic")


@pytest.fixture(scope="module")
def scene():
    images = smooth((16, 3), 1).sigmoid()
    return Scene(small_model(), Batch(images, tuple(map(str, range(16)))))


@pytest.fixture(scope="module")
def maps():
    return smooth((16, 1), 2)[:, 0]


@pytest.fixture(scope="module", params=["mobilenetv2_100", "vit_tiny_patch16_224"])
def real(request, realset):
    """Six validation images of both real models, with their Grad-CAM."""
    padding = {"pad_type": "same"} if "mobile" in request.param else {}
    weights = realset / "weights" / f"{request.param}.safetensors"
    model = xb.load_model(f"timm:{request.param}", checkpoint=weights, device="cpu", mean=HALF, std=HALF, **padding)
    batch = xb.load_data("imagenet_val", path=realset, size=224, n=6).batch(0, 6)
    scene = Scene(model, batch)
    return scene, xb.explain("gradcam", model, batch.images, scene.targets)


def ours(name, scene, maps, **options):
    return score(METRICS.build({"name": name, **options}), Case(scene, maps)).values


def torchcam_says(scene, maps, logits_fn):
    torchcam = pytest.importorskip("torchcam.metrics")
    module = scene.model.module
    drops, rises = [], []
    for image, target, keep in zip(scene.batch.images, scene.targets.tolist(), maps, strict=True):
        metric = torchcam.ClassificationMetric(Stored(module, keep[None]), logits_fn)
        metric.update(scene.model.normalise(image[None]), target)
        summary = metric.summary()
        drops.append(summary["avg_drop"])
        rises.append(summary["conf_increase"])
    return torch.tensor(drops, dtype=torch.float64), torch.tensor(rises, dtype=torch.float64)


def check_torchcam(scene, maps, output, logits_fn):
    drops, rises = torchcam_says(scene, mask(maps, "minmax"), logits_fn)
    drop = ours("average_drop", scene, maps, output=output)
    known = ~drop.isnan()

    assert known.sum() >= len(maps) - 1
    assert drop[known].std() > 0.01  # there is something to see
    assert (drop - drops)[known].abs().max() < 1e-4
    assert torch.equal(ours("increase_in_confidence", scene, maps, output=output), rises)


@pytest.mark.parametrize(("output", "logits_fn"), [("probability", SOFTMAX), ("logit", None)])
def test_torchcam_has_the_same_drop_and_increase(scene, maps, output, logits_fn):
    check_torchcam(scene, maps, output, logits_fn)


@pytest.mark.realset
def test_torchcam_has_the_same_drop_and_increase_on_real_models(real):
    check_torchcam(*real, "probability", SOFTMAX)


def test_torchcams_own_cams_are_scaled_before_they_are_made_larger(scene):
    """Interpolated between cells, a map scaled before no longer reaches 0 and 1: `scaling="none"` is their number."""
    methods, metrics = pytest.importorskip("torchcam.methods"), pytest.importorskip("torchcam.metrics")
    model = scene.model
    with methods.GradCAM(model.module, "1", input_shape=(3, 32, 32)) as extractor:
        metric = metrics.ClassificationMetric(extractor, SOFTMAX)
        inputs = model.normalise(scene.batch.images)
        metric.update(inputs, scene.targets.tolist())
        cams = extractor(scene.targets.tolist(), SOFTMAX(model.module(inputs)))[0].detach()
    maps = F.interpolate(cams[:, None], (32, 32), mode="bilinear")[:, 0]
    kept, scaled = (ours("average_drop", scene, maps, scaling=scaling) for scaling in ("none", "minmax"))
    known = ~kept.isnan()

    assert known.sum() >= 12
    rest = torchcam_says(scene, maps, SOFTMAX)[0][~known].sum().item()  # torchcam counts constant maps

    assert kept[known].sum().item() == pytest.approx(metric.drop - rest, abs=1e-4)
    assert (kept - scaled)[known].abs().max() > 1e-4


def grad_cam_says(name, scene, maps, kind):
    metrics = pytest.importorskip("pytorch_grad_cam.metrics.cam_mult_image")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    wanted = [getattr(targets, kind)(target) for target in scene.targets.tolist()]
    inputs = scene.model.normalise(scene.batch.images)
    found = getattr(metrics, name)()(inputs, mask(maps, "minmax").numpy(), wanted, scene.model.module)
    return torch.from_numpy(found).double()


def check_grad_cam(scene, maps, output, kind):
    """Theirs are absolute: the relative drop times the clean output."""
    clean = scene.output(output)
    drop, rise = (ours(name, scene, maps, output=output) for name in ("average_drop", "increase_in_confidence"))
    known = ~drop.isnan()
    scale = clean.abs().max().item()

    assert known.sum() >= len(maps) - 1
    assert (drop * clean - grad_cam_says("DropInConfidence", scene, maps, kind))[known].abs().max() < 1e-4 * scale
    assert torch.equal(rise, grad_cam_says("IncreaseInConfidence", scene, maps, kind))


@pytest.mark.parametrize(
    ("output", "kind"), [("probability", "ClassifierOutputSoftmaxTarget"), ("logit", "ClassifierOutputTarget")]
)
def test_grad_cam_has_the_same_absolute_drop_and_increase(scene, maps, output, kind):
    check_grad_cam(scene, maps, output, kind)


@pytest.mark.realset
def test_grad_cam_has_the_same_absolute_drop_and_increase_on_real_models(real):
    check_grad_cam(*real, "probability", "ClassifierOutputSoftmaxTarget")


def test_grad_cams_change_is_our_gain_and_drop_together(scene, maps):
    """CamMultImageConfidenceChange = after - before = gain (1 - p) - drop p."""
    clean = scene.output("probability")
    change = ours("average_gain", scene, maps) * (1 - clean) - ours("average_drop", scene, maps) * clean
    theirs = grad_cam_says("CamMultImageConfidenceChange", scene, maps, "ClassifierOutputSoftmaxTarget")

    assert (change - theirs).abs().max() < 1e-5
    assert theirs.std() > 0.01


@torch.inference_mode()
def xplique_says(scene, maps):
    """Written from Xplique 2.0's documented formulas with activation="softmax": AD, AI and AG of each image."""
    keep = maps.abs()
    lowest, highest = keep.amin((1, 2), keepdim=True), keep.amax((1, 2), keepdim=True)
    keep = (keep - lowest) / (highest - lowest + 1e-7)
    inputs, places = scene.model.normalise(scene.batch.images), scene.targets[:, None]
    base, after = (
        scene.model.module(given).softmax(1).gather(1, places)[:, 0].double()
        for given in (inputs, inputs * keep[:, None])
    )
    drop, gain = (base - after).relu() / (base + 1e-7), (after - base).relu() / (1 - base + 1e-7)
    return drop, (after > base).double(), gain


def test_xpliques_formulas_with_absolute_values(scene, maps):
    theirs = xplique_says(scene, maps)
    mine = [ours(name, scene, maps, scaling="absolute") for name in ("average_drop", "increase_in_confidence")]

    assert (mine[0] - theirs[0]).abs().max() < 1e-5
    assert torch.equal(mine[1], theirs[1])
    assert mine[0].std() > 0.01


def test_xpliques_gain_where_there_is_one(scene, maps):
    """Explained at the least likely class, under which many maps gain."""
    least = Scene(scene.model, scene.batch, targets=scene.clean.argmin(1))
    theirs = xplique_says(least, maps)[2]

    assert (ours("average_gain", least, maps, scaling="absolute") - theirs).abs().max() < 1e-5
    assert (theirs > 1e-3).sum() >= 4
