"""Token deletion, keep maps and what they stand beside: cases known on paper, then the layer and the explainers."""

import math

import numpy as np
import pytest
import torch

from xai_bench.adapters import Preprocessing, VisionModel, load_model
from xai_bench.ersm import ErsmModel
from xai_bench.explainers import EXPLAINERS
from xai_bench.explainers.upsample import upsample
from xai_bench.studies.ersm import masks
from xai_bench.studies.ersm.deletion import (
    area,
    class_map,
    common_orders,
    deletion,
    own_orders,
    parts,
    published_steps,
)
from xai_bench.studies.ersm.frozen import Frozen
from xai_bench.studies.ersm.heads import Elsewhere, Variant
from xai_bench.studies.ersm.measured import _Judge

LOTS = torch.arange(4)[None]


def model(patch_size: int = 1, channels: int = 3, classes: int = 4) -> ErsmModel:
    torch.manual_seed(patch_size)
    mask = Variant("fast", "open", learnt=True, unary=0.1, pairwise=0.1).mask(channels, patch_size)
    return ErsmModel(Elsewhere(), num_classes=classes, mask=mask).eval().requires_grad_(requires_grad=False)


@pytest.mark.parametrize("patch_size", [1, 2])
@pytest.mark.parametrize("compensate", [False, True])
def test_every_number_of_deletions_is_a_forced_mask(patch_size, compensate):
    """The running sum against the layer itself, one forward pass per number of deleted tokens."""
    one = model(patch_size)
    one.head.bias.zero_()  # so that what is predicted hangs on every token
    features, labels = torch.randn(40, 3, 4, 6), torch.randint(4, (40,))
    count = 24 // patch_size**2
    order, lots = torch.rand(40, count), torch.stack([torch.randperm(count) for _ in range(40)])
    found = deletion(one, parts(one, features), labels, order, lots, compensate=compensate)

    for deleted in range(count + 1):
        forced = torch.ones(40, count).scatter_(1, order.argsort(1)[:, :deleted], 0)
        forced = forced.view(40, 4 // patch_size, 6 // patch_size)
        logits, _ = one.classify(features, forced, compensate=compensate)
        assert torch.equal(found[:, deleted], logits.argmax(1) == labels)


def test_the_least_important_goes_first():
    """One token speaks for class 1, three for class 0: right as long as that token outweighs what is left."""
    one = model(channels=2, classes=2)
    one.head.weight.copy_(torch.eye(2))
    one.head.bias.copy_(torch.tensor([0.0, 0.1]))
    features = torch.tensor([[[1.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 2.0]]])[None]
    added, label = parts(one, features), torch.tensor([1])
    good, bad = torch.tensor([[0.0, 1.0, 2.0, 3.0]]), torch.tensor([[3.0, 2.0, 1.0, 0.0]])

    assert deletion(one, added, label, good, LOTS).tolist() == [[False, True, True, True, True]]
    assert deletion(one, added, label, bad, LOTS).tolist() == [[False, False, False, False, True]]


def test_ties_go_by_lots():
    one = model(channels=2, classes=2)
    one.head.weight.copy_(torch.eye(2))
    one.head.bias.zero_()
    features = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 3.0], [0.0, 0.0]]])[None]
    added, flat = parts(one, features), torch.zeros(1, 4)
    first, last = torch.tensor([[1, 0, 2, 3]]), torch.tensor([[2, 3, 0, 1]])

    assert deletion(one, added, torch.tensor([1]), flat, first)[0, 3]  # the first of equal tokens is kept longest
    assert not deletion(one, added, torch.tensor([1]), flat, last)[0, 3]


def test_areas_on_paper():
    """Right until half is deleted: 50; always: 100; per cent over fractions, by trapezoid."""
    half = torch.tensor([[True, True, True, False, False]])

    assert area(half).tolist() == [62.5]  # the trapezoid between the last right and the first wrong step
    assert area(torch.ones(1, 5, dtype=torch.bool)).tolist() == [100.0]
    assert published_steps(49) == list(range(50))
    assert published_steps(196) == [*range(0, 196, 4), 196]
    assert published_steps(98) == [*range(0, 98, 2), 98]


@pytest.mark.parametrize("patch_size", [1, 2])
def test_orders_are_what_they_are_called(patch_size):
    one, features = model(patch_size), torch.rand(2, 3, 4, 4)
    head = torch.nn.Linear(3, 4)
    logits, out = one.classify(features)
    noise = torch.rand(2, 16 // patch_size**2)
    found = common_orders(head, features, noise, patch_size) | own_orders(one, features, logits, out)
    token = features[0, :, :patch_size, :patch_size]
    wanted = head(features.mean((2, 3))).argmax(1)[0]
    cam = (head.weight[wanted][:, None, None] * token).sum(0).clamp(min=0).mean() / 16

    assert torch.equal(found["energy"], -out.logit.flatten(1))
    assert found["magnitude"][0, 0].item() == pytest.approx(token.norm().item(), rel=1e-5)
    assert found["gradcam"][0, 0].item() == pytest.approx(cam.item(), rel=1e-5)
    assert torch.equal(found["random"], noise)


def test_maps_from_cached_features_are_those_of_the_explainers():
    """Keep map, minus energy and Grad-CAM, each by the explainer on the whole model."""
    whole = load_model("ersm:test_resnet", pretrained=False, num_classes=4, mode="stable", input_size=64, device="cpu")
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        features = whole.module.features(whole.normalise(images))
        logits, out = whole.module.classify(features)
        targets = logits.argmax(1)
        cam = class_map(whole.module.head, out.features, targets).clamp(min=0)
    for name, cells in (("energy", out.keep), ("energy_field", -out.energy), ("gradcam", cam)):
        expected = EXPLAINERS.build(name)(whole, images, targets)
        assert torch.allclose(upsample(cells, images), expected.detach(), atol=1e-5), name


def test_entropy_on_paper():
    """log N where all tokens are kept alike, 0 where one is, whatever the amount."""
    flat, one = torch.full((1, 64), 0.01), torch.zeros(1, 64)
    one[0, 3] = 0.7

    assert masks.entropy(flat.double()).item() == pytest.approx(math.log(64), abs=1e-3)
    assert masks.entropy(one.double()).item() == pytest.approx(0.0, abs=1e-3)
    assert masks.active(torch.tensor([[0.4, 0.5, 0.6, 0.9]])).tolist() == [0.5]
    assert masks.histogram(torch.tensor([[0.01, 0.99, 0.011, 0.5]])).nonzero().flatten().tolist() == [0, 25, 49]
    assert masks.over_its_highest(torch.tensor([[0.0, 2.0, 4.0], [0.0, 0.0, 0.0]])).tolist() == [[0, 0.5, 1], [0, 0, 0]]


def test_told_apart_on_paper():
    """Pairs of object and background tokens in the right order, ties half; nothing without both kinds."""
    share = torch.tensor([[[1.0, 1.0], [0.0, 0.0]], [[1.0, 0.3], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    keep = torch.tensor([[[0.9, 0.1], [0.1, 0.0]], [[0.2, 0.9], [0.2, 0.2]], [[0.1, 0.2], [0.3, 0.4]]])
    found = masks.told_apart(keep, share)

    assert found[:2].tolist() == [(1 + 1 + 0.5 + 1) / 4, 0.5]  # a token covered by a third is of neither kind
    assert math.isnan(found[2].item())
    on, off = masks.on_and_off(keep, share)
    assert on[0].item() == pytest.approx(0.5)
    assert off[0].item() == pytest.approx(0.05)


def test_a_blind_model_has_an_output_for_each_image():
    blind = VisionModel(
        masks.Blind(), name="none", mean=(0.0,) * 3, std=(1.0,) * 3, preprocessing=Preprocessing((8, 8))
    )

    assert blind(torch.zeros(3, 3, 8, 8)).shape == (3, 2)


@pytest.mark.parametrize("ignored", [False, True])
def test_the_share_on_the_object_is_the_catalogues(ignored):
    """Without upsampling a map, against `energy_pointing_game` of the upsampled one."""
    regions = torch.zeros(3, 32, 40, dtype=torch.bool)
    regions[:, 5:20, 8:31] = True
    ignore = torch.zeros_like(regions) if ignored else None
    if ignore is not None:
        ignore[:, 18:24] = True
    cells = torch.rand(3, 4, 5)
    cells[2] = 0
    ids = ("a", "b", "c")
    data = Frozen(torch.zeros(3, 2, 4, 5), torch.zeros(3, dtype=torch.int64), ids, regions, ignore, (32, 40))
    judge = _Judge(data, slice(0, 3))
    found = masks.reach(regions, ignore, (4, 5)).share(cells)

    np.testing.assert_allclose(found.numpy(), judge(judge.upsampled(cells))["energy in mask"], rtol=1e-5)
    assert math.isnan(found[2].item())
