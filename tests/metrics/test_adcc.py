"""ADCC on paper, and against a straight-line evaluation of openvino_xai's formula."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from torch import nn

import xai_bench as xb
from xai_bench.engine import Case, Scene
from xai_bench.errors import UnsupportedError
from xai_bench.metrics import score
from xai_bench.metrics.adcc import Adcc
from xai_bench.metrics.average_drop import AverageDrop
from xai_bench.oracles import IMAGE, PIXELS, Linear, Sum, as_model
from xai_bench.removal import Fill, LayerMasking
from xai_bench.types import Batch

BLACK = Adcc(removal=Fill("black"))


def grey(images):
    return images.mean(1)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def adcc(maps=PIXELS, explain=grey, module=None):
    case = Case(Scene(as_model(module or Sum()), Batch(IMAGE, ("a",))), maps, explain)
    found = score(BLACK, case)
    return found.reasons[0] or found.values.item()


def test_the_three_parts_of_a_sum_that_is_explained_by_its_own_pixels():
    # mask 1 2/3 1/3 0: complexity 1/2; masked pixels .4 .2 1/15 0, whose correlation with .4 .3 .2 .1 is
    # (2/3) / sqrt(5 * 7/75) = sqrt(20/21); probability from sigmoid(1) to sigmoid(2/3)
    coherency = (math.sqrt(20 / 21) + 1) / 2
    kept = sigmoid(2 / 3) / sigmoid(1)
    case = Case(Scene(as_model(Sum()), Batch(IMAGE, ("a",))), PIXELS, grey)

    assert BLACK.parts(case)[0].tolist() == pytest.approx([coherency, 0.5, kept])
    assert adcc() == pytest.approx(3 / (1 / coherency + 2 + 1 / kept))


def test_a_point_that_is_all_the_model_sees_is_as_good_as_four_pixels_allow():
    # coherency 1, complexity 1/4, no drop
    weights = torch.zeros(3, 2, 2)
    weights[:, 0, 0] = 1.0
    point = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])

    assert adcc(point, lambda images: point, Linear(weights)) == pytest.approx(3 / (1 + 4 / 3 + 1))


def test_an_explanation_that_turns_round_scores_nothing():
    assert adcc(explain=lambda images: -PIXELS) == pytest.approx(0, abs=1e-12)


def test_a_map_that_hides_all_the_evidence_scores_nothing():
    # logit 102,000 without which there is one of -18,000: a probability of 1 that falls to 0
    weights = torch.full((3, 2, 2), -1e4)
    weights[:, 0, 0] = 1e5
    hidden = torch.tensor([[[0.0, 1.0], [1.0, 1.0]]])

    assert adcc(hidden, module=Linear(weights)) == 0


def test_an_explanation_of_the_masked_image_that_says_nothing_is_undefined():
    assert adcc(explain=lambda images: 0 * PIXELS) == "map of the masked image is constant"
    assert adcc(explain=lambda images: PIXELS * math.nan) == "map of the masked image is not finite"
    assert adcc(torch.ones(1, 2, 2)) == "map is constant"


def test_it_needs_the_explainer_and_a_removal_that_changes_pixels():
    case = Case(Scene(as_model(Sum()), Batch(IMAGE, ("a",))), PIXELS)

    with pytest.raises(UnsupportedError, match="'adcc' needs the explainer itself"):
        score(BLACK, case)
    with pytest.raises(UnsupportedError, match="'adcc' needs a removal that knows soft masks, got 'layer_masking'"):
        Adcc(removal=LayerMasking())


def test_the_masked_image_is_explained_once():
    calls = []

    def explain(images):
        calls.append(len(images))
        return images.mean(1)

    case = Case(Scene(as_model(Sum()), Batch(IMAGE, ("a",))), PIXELS, explain)
    score(BLACK, case)
    score(BLACK, case)

    assert calls == [1]


@pytest.fixture(scope="module")
def seen():
    """Images, an explainer with gradients, and its maps."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    module[4].weight.data *= 40
    model = xb.load_model(module.eval(), mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.2), input_size=24)
    coarse = 2 * torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    batch = Batch(nn.functional.interpolate(coarse, (24, 24), mode="bicubic").sigmoid(), tuple("abcdef"))
    scene = Scene(model, batch)

    def explain(images):
        return xb.explain("saliency" if "saliency" in xb.EXPLAINERS else "ig", model, images, scene.targets)

    return scene, explain, explain(batch.images)


def straight(model, explain, images, targets, maps):
    """openvino_xai's three parts of each image, black in RGB, in numpy and scipy."""
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    masks = (maps - low) / (high - low)
    masked = torch.from_numpy(images * masks[:, None]).float()
    again = explain(masked).numpy().astype(np.float64)
    with torch.no_grad():
        before, after = (model(given).softmax(1).double().numpy() for given in (torch.from_numpy(images), masked))
    rows = np.arange(len(maps))
    drop = np.maximum(0, before[rows, targets] - after[rows, targets]) / before[rows, targets]
    coherency = [(pearsonr(a.ravel(), b.ravel())[0] + 1) / 2 for a, b in zip(masks, again, strict=True)]
    return np.array(coherency), masks.mean((1, 2)), drop


def test_openvinos_formula_and_its_mean_of_parts(seen):
    scene, explain, maps = seen
    parts = straight(scene.model, explain, scene.batch.images.numpy(), scene.targets.numpy(), maps.double().numpy())

    def combine(coherency, complexity, drop):
        return 3 / (1 / coherency + 1 / (1 - complexity) + 1 / (1 - drop))

    ours = score(BLACK, Case(scene, maps, explain)).values.numpy()

    assert np.abs(ours - combine(*parts)).max() < 1e-5
    assert ours.std() > 0.01
    # openvino_xai reports the score of the mean parts, which is never below the mean of the scores: a harmonic mean is
    # concave
    assert combine(*(part.mean() for part in parts)) > ours.mean() + 1e-4


def test_its_drop_is_average_drop(seen):
    scene, explain, maps = seen
    case = Case(scene, maps, explain)
    drop = score(AverageDrop(removal=Fill("black")), case).values

    assert (1 - BLACK.parts(case)[:, 2]).tolist() == pytest.approx(drop.tolist())
