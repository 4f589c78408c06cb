"""Masks trained at once are the masks that `train_ersm` trains one by one."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from xai_bench.data import load_data
from xai_bench.ersm import EnergyMask, ErsmModel
from xai_bench.studies.ersm import heads
from xai_bench.studies.ersm.heads import STARTS, Variant, pairwise_prices, train_head, train_heads
from xai_bench.studies.ersm.settings import MAIN, ErsmSettings
from xai_bench.training import Recipe, train_ersm, train_plain
from xai_bench.training.loop import examples
from xai_bench.training.plain import HALF, normalised

RECIPE = Recipe(epochs=3, batch_size=8, lr=3e-2, seed=5)
VARIANTS = (
    Variant("fast", "open", learnt=True, unary=0.1, pairwise=0.3),
    Variant("fast", "closed", learnt=True, unary=0.5, pairwise=0.0),
    Variant("fast", "open", learnt=True, unary=0.0, pairwise=0.0),
)


@pytest.fixture(scope="module")
def trained():
    data = load_data("planted", split="train", n=20, size=32, batch_size=20)
    plain = train_plain(data, Recipe(epochs=1, batch_size=10), progress=False)
    images, labels = examples(data)
    with torch.no_grad():
        features = plain.forward_features(normalised(images, HALF, HALF))
    return data, plain, features, labels


@pytest.mark.filterwarnings("ignore::xai_bench.training.CollapseWarning")
def test_trained_at_once_they_are_those_trained_one_by_one(trained):
    data, plain, features, labels = trained
    together = train_heads(features, labels, VARIANTS, RECIPE, num_classes=4, progress=False)
    for variant, found in zip(VARIANTS, together, strict=True):
        mask = EnergyMask(features.shape[1], **variant.keywords)
        alone = train_ersm(plain, data, RECIPE, mask=mask, progress=False)
        for name, value in found.state_dict().items():
            assert torch.allclose(value, alone.state_dict()[name], rtol=1e-3, atol=1e-4), (str(variant), name)


def test_one_mask_does_not_change_another(trained):
    _, _, features, labels = trained
    alone = train_heads(features, labels, VARIANTS[:1], RECIPE, num_classes=4, progress=False)[0]
    together = train_heads(features, labels, VARIANTS, RECIPE, num_classes=4, progress=False)[0]

    assert torch.allclose(alone.mask.weight, together.mask.weight, atol=1e-4)
    assert not torch.allclose(alone.mask.bias, torch.tensor(-6.0), atol=1e-3)


def test_a_fixed_bias_stays_where_it_starts(trained):
    _, _, features, labels = trained
    fixed = [replace(variant, learnt=False) for variant in VARIANTS]
    for variant, model in zip(
        fixed, train_heads(features, labels, fixed, RECIPE, num_classes=4, progress=False), strict=True
    ):
        assert model.mask.bias.item() == STARTS[variant.start]


@pytest.mark.parametrize("patch_size", [1, 2])
def test_what_is_trained_is_what_the_layer_does(patch_size):
    features = torch.rand(3, 5, 4, 6)
    masks = [variant.mask(5, patch_size) for variant in VARIANTS]
    models = [ErsmModel(heads.Elsewhere(), num_classes=3, mask=mask).eval() for mask in masks]
    stacked = heads._Heads(models[0], VARIANTS)
    for number, model in enumerate(models):
        stacked.weight.data[number], stacked.head_weight.data[number] = model.mask.weight, model.head.weight
        stacked.head_bias.data[number] = model.head.bias
    seen = heads._read(stacked, features, patch_size)

    for number, model in enumerate(models):
        logits, out = model.classify(features)
        assert torch.allclose(seen.keep[:, number], out.keep.flatten(1), atol=1e-6)
        assert torch.allclose(seen.logit[:, number], out.logit.flatten(1), atol=1e-5)
        assert torch.allclose(seen.logits[:, number], logits, atol=1e-5)


@pytest.mark.parametrize("patch_size", [1, 2])
def test_the_price_is_the_pairwise_energy(patch_size):
    """Softplus of the sum of cosines with the eight neighbours, on paper for equal tokens: 3, 5 or 8 of them."""
    side = 4 * patch_size
    features = torch.ones(1, 2, side, side)
    counts = torch.tensor([[3, 5, 5, 3], [5, 8, 8, 5], [5, 8, 8, 5], [3, 5, 5, 3]]).float()

    assert torch.allclose(pairwise_prices(features, patch_size), functional.softplus(counts).view(1, -1), atol=1e-4)


def test_the_head_without_a_mask_is_a_linear_one_on_the_mean():
    """Two classes that the mean of one channel tells apart."""
    features = torch.randn(40, 3, 4, 4)
    labels = (torch.arange(40) % 2).long()
    features[:, 0] += (4.0 * labels - 2)[:, None, None]
    head = train_head(features, labels, Recipe(epochs=20, lr=0.1, batch_size=10), num_classes=2, progress=False)

    assert isinstance(head, nn.Linear)
    assert (head(features.mean((2, 3))).argmax(1) == labels).all()


def test_the_published_mask_is_the_published_layer():
    mask = MAIN["published"].mask(8, 1)

    assert (mask.mode, mask.start, mask.unary_weight, mask.pairwise_weight) == ("reference", 6.0, 1e-3, 1e-3)
    assert MAIN["demo"].mask(8, 1).bias.requires_grad
    assert ErsmSettings().recipe == Recipe(
        epochs=20, batch_size=32, lr=1e-3, weight_decay=1e-4, warmup=0.0, stepped="epoch", backbone_lr=0.1
    )
