"""Layer-wise relevance propagation: conserving where biases are gone, zennit's numbers, and refusals."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from zennit.attribution import Gradient
from zennit.composites import EpsilonAlpha2Beta1, EpsilonAlpha2Beta1Flat, EpsilonGammaBox, EpsilonPlus, EpsilonPlusFlat
from zennit.torchvision import ResNetCanonizer

from xai_bench.adapters import Preprocessing, VisionModel, load_model
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.explainers.gradient import LRP, DeepLift
from xai_bench.oracles import as_model

TARGETS = torch.tensor([1, 3])
COMPOSITES = {
    "epsilon_plus": EpsilonPlus,
    "epsilon_plus_flat": EpsilonPlusFlat,
    "epsilon_alpha2_beta1": EpsilonAlpha2Beta1,
    "epsilon_alpha2_beta1_flat": EpsilonAlpha2Beta1Flat,
    "epsilon_gamma_box": EpsilonGammaBox,
}


def images(size=64):
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def made(name, size=64):
    torch.manual_seed(0)
    return load_model(f"timm:{name}", pretrained=False, num_classes=5, input_size=size, device="cpu")


def without_biases(model):
    """Positively homogeneous of degree 1 (attention, norms and gates held): the logit is all there is to share out."""
    model.mean = (0.0, 0.0, 0.0)
    with torch.no_grad():
        for name, parameter in model.module.named_parameters():
            if name.endswith("bias") or name in ("pos_embed", "cls_token"):
                parameter.zero_()
            elif parameter.ndim == 1:
                parameter.fill_(2)  # else the gates of a deep model make activations as small as the stabiliser
    return model


def logits(model, shown):
    with model.ready(), torch.no_grad():
        return model(shown).gather(1, TARGETS[:, None])[:, 0]


def relu_network():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 6, 3, bias=False), nn.Conv2d(6, 6, 3, 2, bias=False)
    relu = nn.ReLU(inplace=True)  # used twice
    return as_model(nn.Sequential(first, relu, second, relu, nn.Flatten(), nn.Linear(54, 5, bias=False)), (9, 9))


def test_without_biases_lrp_0_deeplift_from_black_and_input_times_gradient_are_one():
    model, inputs = relu_network(), images(9).requires_grad_()
    with model.ready():
        (gradient,) = torch.autograd.grad(model(inputs).gather(1, TARGETS[:, None]).sum(), inputs)
    expected = (images(9) * gradient).sum(1)

    for explainer in (LRP("epsilon", epsilon=0.0), LRP("epsilon"), DeepLift("black")):
        torch.testing.assert_close(explainer(model, images(9), TARGETS), expected, rtol=1e-4, atol=1e-5)


def test_the_plus_rule_by_hand():
    # features 0.8 = 0.5 * 2 - 0.1 * 2 and -0.3 (closed); positive contributions are 1.0 of red and 0 of green
    net = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[2.0, -2.0, 0.0], [-1.0, 2.0, 0.0]])[:, :, None, None])
        net[3].weight.copy_(torch.tensor([[5.0, 1.0], [0.0, 0.0]]))
    image, target = torch.tensor([0.5, 0.1, 0.3]).view(1, 3, 1, 1), torch.tensor([0])

    for composite in ("epsilon_plus", "epsilon_plus_flat", "epsilon_alpha2_beta1"):
        assert LRP(composite)(as_model(net, (1, 1)), image, target).item() == pytest.approx(4.0, rel=1e-4)  # 5 * 0.8


@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus", "epsilon_plus_flat", "epsilon_gamma_box"])
@pytest.mark.parametrize("name", ["resnet18", "mobilenetv2_100", "efficientnet_b0"])
def test_convolution_networks_without_biases_conserve_the_logit(name, composite):
    # alpha 2 beta 1 conserves only where a unit has contributions of both signs, which a depthwise one may not have
    model = without_biases(made(name))
    maps = LRP(composite)(model, images(), TARGETS)

    torch.testing.assert_close(
        maps.sum((1, 2)), logits(model, images()), rtol=2e-3, atol=1e-4 * maps.abs().sum().item()
    )


@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus_flat"])
@pytest.mark.parametrize("fused", [True, False])
def test_transformers_without_biases_conserve_the_logit(composite, fused):
    model = without_biases(made("test_vit"))
    for module in model.module.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = fused
    maps = LRP(composite)(model, images(), TARGETS)

    torch.testing.assert_close(maps.sum((1, 2)), logits(model, images()), rtol=1e-3, atol=1e-6)


def lively(module):
    """Norms that do something, as after training."""
    torch.manual_seed(1)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.1)
            norm.running_mean.normal_(std=0.1)
            norm.running_var.uniform_(0.5, 1.5)
    return module.eval()


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    module = lively(torchvision.models.resnet18(num_classes=5))
    colours = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3)}
    return VisionModel(module, name="net", preprocessing=Preprocessing((64, 64)), **colours)


@pytest.mark.parametrize("composite", COMPOSITES)
def test_it_is_zennits(resnet, composite):
    low, high = (resnet.normalise(torch.full((1, 3, 1, 1), level)) for level in (0.0, 1.0))
    box = {"low": low, "high": high} if composite.endswith("box") else {}
    rules = COMPOSITES[composite](canonizers=[ResNetCanonizer()], **box)
    with resnet.ready(), Gradient(model=resnet.module, composite=rules) as attributor:
        outputs, relevance = attributor(resnet.normalise(images()), torch.eye(5)[TARGETS])
    expected = relevance.sum(1) * outputs.detach()[range(2), TARGETS, None, None]  # zennit starts from 1
    maps = LRP(composite)(resnet, images(), TARGETS)

    assert (maps - expected).norm() < 1e-4 * expected.norm()


def test_a_norm_of_timm_with_its_activation_is_folded_as_a_plain_one():
    model = made("mobilenetv2_100")
    lively(model.module)
    maps = LRP()(model, images(), TARGETS)
    with torch.no_grad():  # fold by hand: each convolution that a norm follows, then no norm is left
        modules = dict(model.module.named_modules())
        names = list(modules)
        for name, norm in modules.items():
            if isinstance(norm, nn.BatchNorm2d):
                before = [n for n in names[: names.index(name)] if isinstance(modules[n], nn.Conv2d)][-1]
                scale = norm.weight / (norm.running_var + norm.eps).sqrt()
                modules[before].weight.mul_(scale.view(-1, 1, 1, 1))
                modules[before].bias = nn.Parameter(norm.bias - norm.running_mean * scale)
                norm.weight.fill_(1), norm.bias.zero_(), norm.running_mean.zero_(), norm.running_var.fill_(1 - norm.eps)

    torch.testing.assert_close(LRP()(model, images(), TARGETS), maps, rtol=1e-3, atol=1e-4 * maps.abs().max().item())


class Read(nn.Module):
    """A convolution that both a norm and a sum read."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Linear(3, 5)

    def forward(self, shown):
        made = self.conv(shown)
        return self.head(F.relu(self.norm(made) + made).mean((2, 3)))


class Around(nn.Module):
    """An image that goes around its first convolution."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 3, 1), nn.Linear(3, 5)

    def forward(self, shown):
        return self.head((F.relu(self.conv(shown)) + shown).mean((2, 3)))


class Soft(nn.Sequential):
    """An activation that is not 0 at 0."""

    def __init__(self):
        super().__init__(nn.Conv2d(3, 3, 1), nn.Softplus(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5))


class Product(nn.Module):
    """A product of two features."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 3, 1), nn.Linear(3, 5)

    def forward(self, shown):
        return self.head((self.conv(shown) * shown).mean((2, 3)))


@pytest.mark.parametrize(
    ("module", "part"),
    [
        (Read, "a convolution that both a batch norm and another part read"),
        (Around, "an image that goes elsewhere than to one convolution (composite 'epsilon_plus_flat')"),
        (Soft, "an activation that is not 0 at 0 (softplus)"),
        (Product, "Mul"),
    ],
)
def test_what_has_no_rule_is_refused_by_name(module, part):
    torch.manual_seed(0)
    model = as_model(module().eval(), (8, 8))
    name = module.__name__.lower()

    assert LRP().unfit(model) == f"'lrp' has no rule for these parts of model '{name}': {part}"
    with pytest.raises(UnsupportedError, match="'lrp' has no rule"):
        LRP()(model, images(8), TARGETS)


def test_a_way_around_the_first_convolution_is_no_trouble_where_it_has_no_rule_of_its_own():
    torch.manual_seed(0)

    assert LRP("epsilon_plus").unfit(as_model(Around().eval(), (8, 8))) == ""


def test_timms_families_are_explained():
    for name in ("convnext_atto", "regnety_002", "mobilenetv3_small_100"):
        assert LRP().unfit(load_model(f"timm:{name}", pretrained=False, num_classes=5, device="cpu")) == "", name


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
def test_an_epsilon_below_0_is_refused(value):
    with pytest.raises(InvalidValueError, match="epsilon must be 0 or positive, got"):
        LRP(epsilon=value)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_laws(name):
    model = made(name)
    maps = LRP()(model, images(), TARGETS)

    assert maps.isfinite().all()
    assert torch.equal(maps, LRP()(model, images(), TARGETS))
    alone = LRP()(model, images()[1:], TARGETS[1:])
    torch.testing.assert_close(maps[1:], alone, rtol=1e-4, atol=1e-4 * alone.abs().max().item())
    assert not torch.allclose(maps, LRP()(model, images(), TARGETS.flip(0)))
