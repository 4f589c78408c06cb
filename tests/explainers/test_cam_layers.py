"""Which layers the CAM family reads, how their maps are joined, and what is refused."""

import pytest
import torch
from explainer_models import noise, pictures, plain_cnn, vit
from torch import nn
from torch.nn import functional as F

from xai_bench.adapters import load_model
from xai_bench.adapters.layers import pooled_layer
from xai_bench.errors import InvalidValueError, UnknownNameError, UnsupportedError
from xai_bench.explainers import EXPLAINERS, explain
from xai_bench.explainers.asked import asked
from xai_bench.explainers.cam import CAM, ClassActivationMap, GradCAMPlusPlus, HiResCAM, LayerCAM, NormGrad
from xai_bench.explainers.cam.layered import Layered

TARGETS = torch.tensor([1, 3])
TWO = ("layer3", "layer4")
LAYERED = [entry for entry in CAM if issubclass(entry, Layered)]


@pytest.fixture(scope="module")
def cnn():
    return plain_cnn()


def maps(explainer, model):
    return explain(explainer, model, pictures(2), TARGETS, noise(2))


def scaled(found):
    low, high = found.amin((1, 2), keepdim=True), found.amax((1, 2), keepdim=True)
    return (found - low) / (high - low)


@pytest.mark.parametrize("entry", LAYERED)
def test_the_target_layer_by_its_name_is_the_default(entry, cnn):
    assert torch.equal(maps(entry(layers=(cnn.layer,)), cnn), maps(entry(), cnn))


@pytest.mark.parametrize(
    ("combine", "join"),
    [
        ("mean", lambda one, other: (one + other) / 2),
        ("product", lambda one, other: one * other),
        ("max", torch.maximum),
    ],
)
@pytest.mark.parametrize("name", ["hirescam", "eigencam", "normgrad"])
def test_maps_of_two_layers_are_scaled_and_joined(name, combine, join, cnn):
    one, other = (scaled(maps(EXPLAINERS[name](layers=(layer,)), cnn)) for layer in TWO)

    torch.testing.assert_close(maps(EXPLAINERS[name](layers=TWO, combine=combine), cnn), join(one, other))


def test_layercam_lifts_all_layers_but_the_last(cnn):
    one, other = (maps(LayerCAM(layers=(layer,)), cnn) for layer in TWO)
    one, other = (found / found.amax((1, 2), keepdim=True) for found in (one, other))

    torch.testing.assert_close(maps(LayerCAM(layers=TWO), cnn), torch.maximum(torch.tanh(2 * one), other))


def test_a_layer_with_a_constant_map_adds_nothing(cnn):
    nowhere = HiResCAM(layers=TWO).joined([torch.full((2, 4, 4), 3.0), torch.eye(2).expand(2, 2, 2)], pictures(2))

    torch.testing.assert_close(nowhere, maps_of_eye() / 2)


def maps_of_eye():
    return F.interpolate(torch.eye(2).expand(2, 1, 2, 2), (64, 64), mode="bilinear")[:, 0]


@pytest.mark.parametrize("entry", LAYERED)
def test_a_layer_that_is_not_there_or_not_spatial_is_refused_by_name(entry, cnn):
    for layer, sentence in (("layr4", r"'layr4'; did you mean"), ("fc", r"layer 'fc' .* has no spatial output")):
        explainer = entry(layers=(layer,))

        assert f"'{layer}'" in explainer.unfit(cnn)
        with pytest.raises((UnknownNameError, InvalidValueError), match=sentence):
            maps(explainer, cnn)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: HiResCAM(layers=("a", "b", "a")), "layers of hirescam must be named once each, got 'a' twice"),
        (lambda: GradCAMPlusPlus(epsilon=-1.0), "epsilon of gradcam_plus_plus must be at least 0 and finite, got -1"),
        (lambda: LayerCAM(gamma=0.0), "gamma of layercam must be above 0 and finite, got 0"),
        (lambda: GradCAMPlusPlus(epsilon=float("inf")), "must be at least 0 and finite, got inf"),
        (lambda: LayerCAM(gamma=float("inf")), "must be above 0 and finite, got inf"),
        (
            lambda: EXPLAINERS.build({"name": "xgradcam", "combine": "sum"}),
            "unknown combine of explainer xgradcam 'sum'; known: max, mean, product",
        ),
    ],
)
def test_a_wrong_field_is_refused_in_a_sentence(make, sentence):
    with pytest.raises((InvalidValueError, UnknownNameError), match=sentence):
        make()


def logits_without_bias(model, head):
    with model.ready(), torch.no_grad():
        return (model(pictures(2)) - model.module.get_submodule(head).bias).gather(1, TARGETS[:, None])[:, 0]


def test_hirescam_adds_up_to_the_logit_where_the_rest_is_linear(cnn):
    found = maps(HiResCAM(), cnn)  # 2 x 2 cells, whose upsampled mean is theirs

    torch.testing.assert_close(found.mean((1, 2)) * 4, logits_without_bias(cnn, "fc"), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "layer", "head"), [("test_resnet", "", "fc"), ("mobilenetv2_035", "bn2", "classifier")]
)
def test_the_mean_of_a_class_activation_map_is_the_logit(name, layer, head):
    torch.manual_seed(0)
    model = load_model(f"timm:{name}", pretrained=False, num_classes=8, input_size=64, device="cpu")
    found = maps(ClassActivationMap(), model)

    assert model.pooled_layer == (layer or model.layer)
    torch.testing.assert_close(found.mean((1, 2)), logits_without_bias(model, head), rtol=1e-4, atol=1e-5)


def test_a_class_activation_map_of_a_contrast_is_the_difference_of_two(cnn):
    weights = torch.zeros(2, 8)
    weights[:, 2], weights[:, 5] = 1, -1
    question, whose = asked(cnn, weights)
    found = explain(ClassActivationMap(), question, pictures(2), whose, noise(2))
    one, other = (
        explain(ClassActivationMap(), cnn, pictures(2), torch.full((2,), target), noise(2)) for target in (2, 5)
    )

    torch.testing.assert_close(found, one - other, rtol=1e-4, atol=1e-6)


def test_a_class_activation_map_is_refused_where_no_linear_head_reads_a_mean():
    model, sentence = vit(), "'timm:test_vit' has no linear head that reads a layer's mean over space"

    assert sentence in ClassActivationMap().unfit(model)
    with pytest.raises(UnsupportedError, match=sentence):
        maps(ClassActivationMap(), model)


class Overwritten(nn.Module):
    """What its layer gives is written over before it is pooled."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, images):
        return self.head(F.relu(self.layer(images), inplace=True).mean((2, 3)))


def test_a_layer_that_is_written_over_before_the_pooling_is_no_pooled_layer():
    assert pooled_layer(Overwritten(), torch.zeros(1, 3, 8, 8)) == ""


@torch.no_grad()
def test_normgrad_is_the_norm_of_the_virtual_layers_gradients():
    generator = torch.Generator().manual_seed(0)
    activations, gradients = (torch.randn(2, 3, 4, 5, generator=generator) for _ in range(2))
    around = F.unfold(activations, 3, padding=1).view(2, 27, 4, 5)
    outer = {"conv1x1": activations, "conv3x3": around}

    for kind, values in outer.items():
        expected = torch.einsum("bihw,bjhw->bijhw", values, gradients).flatten(1, 2).norm(dim=1)
        torch.testing.assert_close(NormGrad(layer_kind=kind).cells(activations, gradients), expected)
