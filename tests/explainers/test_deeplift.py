"""DeepLIFT: complete, or refused."""

import pytest
import torch
from captum.attr import DeepLift as CaptumDeepLift
from torch import nn

from xai_bench.adapters import load_model
from xai_bench.errors import UnsupportedError
from xai_bench.explainers.gradient import DeepLift
from xai_bench.explainers.gradient.baselines import baseline
from xai_bench.oracles import IMAGE, Linear, as_model

TARGETS = torch.tensor([1, 3])


def images(size=64):
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def made(name):
    torch.manual_seed(0)
    model = load_model(f"timm:{name}", pretrained=False, num_classes=5, input_size=64, device="cpu")
    for module in model.module.modules():
        if isinstance(module, nn.BatchNorm2d):  # biases, so that black is not all alike
            nn.init.normal_(module.bias, std=0.2)
    return model


def change(model, start, shown, targets):
    with model.ready(), torch.no_grad():
        return (model(shown) - model(start)).gather(1, targets[:, None])[:, 0]


def test_of_a_linear_model_it_is_weight_times_image():
    weights = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0))

    torch.testing.assert_close(
        DeepLift()(as_model(Linear(weights)), IMAGE, torch.tensor([0])), (weights * IMAGE).sum(1)
    )


class Clipped(nn.Module):
    """relu(red - 0.3) + relu(green - 0.3): by hand."""

    def forward(self, shown):
        total = (shown[:, :2] - 0.3).relu_().sum((1, 2, 3))
        return torch.stack([total, -total], 1)


def test_a_relu_counts_with_its_mean_slope_from_the_baseline():
    # 0 to 0.8 passes 0.3 on the way: the mean slope of the ReLU is 0.5 / 0.8, of 0 to 0.2 it is 0
    image = torch.tensor([0.8, 0.2, 1.0]).view(1, 3, 1, 1)

    assert DeepLift()(as_model(Clipped(), (1, 1)), image, torch.tensor([0])).item() == pytest.approx(0.5)


@pytest.mark.parametrize("start", ["black", "mean", "white", "blur"])
@pytest.mark.parametrize("name", ["resnet18", "mobilenetv2_100", "test_resnet"])
def test_maps_sum_to_the_change_of_the_logit(name, start):
    model = made(name)
    expected = change(model, baseline(start, model, images()), images(), TARGETS)
    maps = DeepLift(start)(model, images(), TARGETS)

    torch.testing.assert_close(maps.sum((1, 2)), expected, rtol=1e-4, atol=1e-5 * maps.abs().sum().item())


def layers(*activations):
    torch.manual_seed(0)
    first, second = activations
    convolutions = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
    return nn.Sequential(convolutions[0], first, convolutions[1], second, nn.Flatten(), nn.Linear(256, 5)).eval()


KNOWN = [(nn.ReLU(), nn.LeakyReLU()), (nn.ELU(), nn.Tanh()), (nn.Sigmoid(), nn.Softplus())]


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
@pytest.mark.parametrize("activations", KNOWN, ids=lambda pair: type(pair[0]).__name__)
def test_where_captum_knows_every_part_it_is_captums(activations):
    net = layers(*activations)
    model = as_model(net, (8, 8))
    start = baseline("blur", model, images(8))
    expected = CaptumDeepLift(net).attribute(images(8).requires_grad_(), start, target=TARGETS).sum(1).detach()

    torch.testing.assert_close(DeepLift("blur")(model, images(8), TARGETS), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
def test_on_a_resnet_without_max_pooling_it_is_captums():
    # behind a layer, captum's rule of max pooling breaks completeness: missing 0.002 of 0.03 on this model's own
    model = made("resnet18")
    model.module.maxpool = nn.AvgPool2d(3, 2, 1)
    for module in model.module.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    start = baseline("blur", model, images())
    with model.ready():
        shown = [model.normalise(image) for image in (images(), start)]
        expected = (
            CaptumDeepLift(model.module).attribute(shown[0].requires_grad_(), shown[1], target=TARGETS).sum(1).detach()
        )
    maps = DeepLift("blur")(model, images(), TARGETS)

    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


TWICE = nn.SiLU(inplace=True)
OTHERS = [(nn.ReLU6(inplace=True), nn.GELU()), (TWICE, TWICE), (nn.Hardswish(), nn.Mish())]


@pytest.mark.parametrize("activations", OTHERS, ids=lambda pair: type(pair[0]).__name__)
@pytest.mark.parametrize("pool", [nn.Identity(), nn.MaxPool2d(3, 1, 1)], ids=["", "pooled"])
def test_activations_that_captum_does_not_know_or_sees_once_are_complete(activations, pool):
    net = layers(nn.Sequential(activations[0], pool), activations[1])
    model = as_model(net, (8, 8))
    maps = DeepLift()(model, images(8), TARGETS)

    torch.testing.assert_close(maps.sum((1, 2)), change(model, images(8) * 0, images(8), TARGETS), rtol=1e-4, atol=1e-6)


class Peak(nn.Module):
    """The maximum of the red pixels, overlapping windows; by hand."""

    def forward(self, shown):
        total = nn.functional.max_pool2d(shown[:, :1] * 1.0, (1, 2), 1).sum((1, 2, 3))
        return torch.stack([total, -total], 1)


def test_a_maximum_is_its_winners_and_windows_add_up():
    image = torch.zeros(1, 3, 1, 3)
    image[0, 0, 0] = torch.tensor([0.2, 0.9, 0.4])  # both windows are won by the middle

    maps = DeepLift()(as_model(Peak(), (1, 3)), image, torch.tensor([0]))
    torch.testing.assert_close(maps, torch.tensor([[[0.0, 1.8, 0.0]]]))

    # from white, 1 1 1: each window falls by 0.1, and of the tie in white the image's winner takes it
    maps = DeepLift("white")(as_model(Peak(), (1, 3)), image, torch.tensor([0]))
    torch.testing.assert_close(maps, torch.tensor([[[0.0, -0.2, 0.0]]]))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("test_vit", "NativeLayerNorm, ScaledDotProduct"),
        ("efficientnet_b0", "Mul"),
        ("convnext_atto", "NativeLayerNorm"),
    ],
)
def test_what_is_neither_linear_nor_an_activation_is_refused_by_name(name, parts):
    model = made(name)
    sentence = f"'deeplift' has no rule for these parts of model 'timm:{name}': {parts}"

    assert DeepLift().unfit(model).startswith(sentence)
    with pytest.raises(UnsupportedError, match=sentence):
        DeepLift()(model, images(), TARGETS)


class Hidden(nn.Module):
    def forward(self, shown):
        total = (shown * shown.detach()).sum((1, 2, 3))  # the graph shows a product with a constant
        return torch.stack([total, -total, total, -total], 1)


def test_a_map_that_does_not_sum_up_is_refused():
    sentence = r"'deeplift' of model 'hidden' sums to .* where the logit changes by .*; the model has a part"

    with pytest.raises(UnsupportedError, match=sentence):
        DeepLift("white")(as_model(Hidden()), torch.full((2, 3, 2, 2), 0.5), TARGETS)


def test_laws_on_a_model_that_it_explains():
    model = made("test_resnet")
    maps = DeepLift()(model, images(), TARGETS)

    assert maps.isfinite().all()
    assert torch.equal(maps, DeepLift()(model, images(), TARGETS))
    alone = DeepLift()(model, images()[1:], TARGETS[1:])
    torch.testing.assert_close(maps[1:], alone, rtol=1e-4, atol=1e-4 * alone.abs().max().item())
    assert not torch.allclose(maps, DeepLift()(model, images(), TARGETS.flip(0)))
