"""Explainers that put rules in the place of derivatives: guided backpropagation, deconvolution, guided Grad-CAM."""

import pytest
import torch
from captum.attr import Deconvolution
from captum.attr import GuidedBackprop as CaptumGuidedBackprop
from torch import nn
from torch.nn import functional as F
from zennit import types
from zennit.attribution import Gradient
from zennit.composites import LayerMapComposite
from zennit.rules import ReLUDeconvNet, ReLUGuidedBackprop

from xai_bench.adapters import load_model
from xai_bench.errors import UnsupportedError
from xai_bench.explainers import EXPLAINERS
from xai_bench.explainers.cam import GradCAM, GuidedGradCAM
from xai_bench.explainers.gradient import Deconv, GuidedBackprop
from xai_bench.explainers.gradient.rectified import rectified
from xai_bench.oracles import as_model

NEGATIVE_TOO = torch.tensor([[1.0, -2.0, 0.5], [-1.0, 1.0, 1.0], [2.0, 0.0, 1.0], [-1.0, -1.0, 0.0]])  # four features
HEAD = torch.tensor([[2.0, 1.0, -3.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
COLOUR = torch.tensor([0.5, 0.1, 0.2]).view(1, 3, 1, 1)  # features 0.4, -0.2, 1.2, -0.6: the 2nd and 4th are closed
TARGETS = torch.tensor([1, 3])


class Net(nn.Module):
    """One pixel, four features, an activation, a head."""

    def __init__(self, activation):
        super().__init__()
        self.features, self.head = nn.Linear(3, 4, bias=False), nn.Linear(4, 2, bias=False)
        self.activation = activation
        with torch.no_grad():
            self.features.weight.copy_(NEGATIVE_TOO)
            self.head.weight.copy_(HEAD)

    def forward(self, images):
        return self.head(self.activation(self.features(images.flatten(1))))


def in_place(x):
    x.relu_()
    return x


RELUS = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "torch.relu": torch.relu,
    "method": lambda x: x.relu(),
    "in place": in_place,
    "F.relu_": F.relu_,
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: torch.clamp_min(x, 0.0),
    "threshold": lambda x: F.threshold(x, 0.0, 0.0),
}


def colours(explainer, activation, image=COLOUR):
    """The gradient of the first logit by colour."""
    sloped = isinstance(explainer, GuidedBackprop)
    found = rectified("x", as_model(Net(activation), (1, 1)), image, torch.tensor([0]), sloped=sloped)
    return found.flatten().tolist()


@pytest.mark.parametrize("relu", RELUS)
def test_a_relu_by_hand_however_it_is_called(relu):
    # the head sends 2, 1, -3, 1 back: the third is negative, the second and the fourth features are closed
    guided, deconv = colours(GuidedBackprop(), RELUS[relu]), colours(Deconv(), RELUS[relu])

    assert guided == pytest.approx((2 * NEGATIVE_TOO[0]).tolist())
    assert deconv == pytest.approx((2 * NEGATIVE_TOO[0] + NEGATIVE_TOO[1] + NEGATIVE_TOO[3]).tolist())


def test_a_module_that_runs_twice_has_its_rule_twice():
    relu = nn.ReLU()

    assert colours(GuidedBackprop(), lambda x: relu(-relu(-x))) == pytest.approx([0.0, 0.0, 0.0])
    assert colours(GuidedBackprop(), lambda x: relu(relu(x))) == pytest.approx((2 * NEGATIVE_TOO[0]).tolist())


def test_a_clipped_relu_is_closed_at_both_ends():
    bright = COLOUR * 20  # features 8, -4, 24, -12

    assert colours(GuidedBackprop(), nn.ReLU6(), bright) == [0.0, 0.0, 0.0]
    assert colours(GuidedBackprop(), nn.ReLU6()) == pytest.approx((2 * NEGATIVE_TOO[0]).tolist())


def test_an_activation_that_is_no_relu_counts_with_its_own_slope():
    features = COLOUR.flatten() @ NEGATIVE_TOO.T
    slopes = torch.sigmoid(features) * (1 + features * (1 - torch.sigmoid(features)))  # of x * sigmoid(x)
    expected = (torch.tensor([2.0, 1.0, 0.0, 1.0]) * slopes) @ NEGATIVE_TOO

    assert colours(GuidedBackprop(), nn.SiLU()) == pytest.approx(expected.tolist(), rel=1e-5)


def made(name):
    torch.manual_seed(0)
    return load_model(f"timm:{name}", pretrained=False, num_classes=5, input_size=64, device="cpu")


def images(count=2):
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def resnet():
    model = made("resnet18")
    for module in model.module.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # captum's hooks need it; ours do not
    return model


@pytest.mark.filterwarnings("ignore:Setting backward hooks")
@pytest.mark.parametrize(("ours", "theirs"), [(GuidedBackprop, CaptumGuidedBackprop), (Deconv, Deconvolution)])
def test_on_a_relu_network_it_is_captums(resnet, ours, theirs):
    net = nn.Sequential(resnet.module)
    with resnet.ready():
        shown = resnet.normalise(images()).requires_grad_()
        expected = theirs(net).attribute(shown, target=TARGETS) / torch.tensor(resnet.std).view(3, 1, 1)
    maps = ours(colours="sum")(resnet, images(), TARGETS)

    torch.testing.assert_close(maps, expected.sum(1), rtol=1e-4, atol=1e-4 * expected.abs().max().item())


ACTIVATIONS = tuple(kind for kind in types.Activation.__subclass__ if kind is not nn.Sigmoid)


@pytest.mark.parametrize("name", ["mobilenetv2_100", "efficientnet_b0", "test_vit"])
@pytest.mark.parametrize(("ours", "rule"), [(GuidedBackprop, ReLUGuidedBackprop), (Deconv, ReLUDeconvNet)])
def test_with_other_activations_it_is_zennits_rule_at_each_of_them(name, ours, rule):
    model = made(name)
    composite = LayerMapComposite([(kind, rule()) for kind in ACTIVATIONS])
    with model.ready(), Gradient(model=model.module, composite=composite) as attributor:
        _, gradient = attributor(model.normalise(images()), torch.eye(5)[TARGETS])
    expected = (gradient / torch.tensor(model.std).view(3, 1, 1)).sum(1)
    maps = ours(colours="sum")(model, images(), TARGETS)

    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("name", ["mobilenetv2_100", "test_vit"])
def test_it_is_not_the_plain_gradient_where_no_module_is_a_relu(name):
    model, inputs = made(name), images().requires_grad_()
    with model.ready():
        (plain,) = torch.autograd.grad(model(inputs).gather(1, TARGETS[:, None]).sum(), inputs)

    for explainer in (GuidedBackprop("sum"), Deconv("sum")):
        difference = explainer(model, images(), TARGETS) - plain.sum(1)
        assert difference.abs().max() > 0.1 * plain.abs().max()


class Foreign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


HIDDEN = {
    "an autograd function": (Foreign.apply, "Foreign"),
    "a choice": (lambda x: x * (x > 0), "comparison"),
    "a choice beside the graph": (lambda x: x * (x.detach() > 0).to(x.dtype), "comparison"),
    "a maximum of two": (lambda x: torch.stack([x, torch.zeros_like(x)]).amax(0), "Amax"),
    "a maximum of pairs": (lambda x: torch.stack([x, torch.zeros_like(x)], -1).amax(-1), "Amax"),
    "a root of a square": (lambda x: (x + (x * x).sqrt()) / 2, "Sqrt"),
    "a root of a power": (lambda x: (x + (x**2 + 1e-9) ** 0.5) / 2, "Pow"),
    "what is not below 0": (lambda x: x - x.clamp(max=0), "Sub"),
    "a maximum": (lambda x: torch.maximum(x, torch.zeros(())), "Maximum"),
    "an absolute value": (lambda x: (x + x.abs()) / 2, "Abs"),
    "a swish by hand": (lambda x: x * torch.sigmoid(x), "Mul"),
    "a gelu by hand": (lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2, "Erf"),
    "what no gradient passes": (lambda x: x.round().detach(), "one that no gradient passes"),
}


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("name", ["guided_backprop", "deconv", "guided_gradcam"])
def test_an_activation_that_is_not_seen_is_refused_by_name(hidden, name):
    activation, part = HIDDEN[hidden]
    model, explainer = as_model(Net(activation), (1, 1)), EXPLAINERS[name]()
    sentence = f"'{name}' has no rule for these parts of model 'net': "

    assert explainer.unfit(model).startswith(sentence)
    assert part in explainer.unfit(model)
    with pytest.raises(UnsupportedError, match=sentence):
        explainer(model, COLOUR, torch.tensor([0]))


def by_moments(x):
    """Of mean squares less squared means."""
    mean = x.mean(1, keepdim=True)
    return (x - mean) / ((x * x).mean(1, keepdim=True) - mean**2 + 1e-6).sqrt()


NORMS = {
    "deviation": lambda x: (x - x.mean(1, keepdim=True)) / ((x - x.mean(1, keepdim=True)) ** 2).mean(1, True).sqrt(),
    "moments": by_moments,
    "root of mean squares": lambda x: x * (x.pow(2).mean(1, keepdim=True) + 1e-6).rsqrt(),
    "length": lambda x: x / (x * x).sum(1, keepdim=True) ** 0.5,
    "maximum over space": lambda x: x.view(*x.shape, 1, 1).amax((2, 3)),
    "maximum over tokens": lambda x: x.view(len(x), 1, -1).amax(1),
}


@pytest.mark.parametrize("norm", NORMS)
def test_norms_by_hand_and_pools_are_no_activations(norm):
    model = as_model(Net(NORMS[norm]), (1, 1))

    assert GuidedBackprop().unfit(model) == Deconv().unfit(model) == ""


@pytest.mark.parametrize("name", ["deeplift", "lrp"])
def test_a_choice_beside_the_graph_is_seen_by_other_rules_too(name):
    model = as_model(Net(lambda x: x * (x.detach() > 0)), (1, 1))

    assert EXPLAINERS[name]().unfit(model) == f"'{name}' has no rule for these parts of model 'net': comparison"


def test_an_activation_of_torchscript_is_refused():
    script = torch.jit.CompilationUnit("def act(x):\n    return torch.relu(x)\n").act

    assert "has no rule for these parts" in GuidedBackprop().unfit(as_model(Net(script), (1, 1)))


@pytest.mark.parametrize("name", ["convnext_atto", "swin_tiny_patch4_window7_224", "mobilenetv3_small_100"])
def test_guided_backprop_explains_timms_families(name):
    model = load_model(f"timm:{name}", pretrained=False, num_classes=5, device="cpu")

    assert GuidedBackprop().unfit(model) == ""


def test_guided_gradcam_is_the_product():
    model = made("test_resnet")
    expected = GuidedBackprop("sum")(model, images(), TARGETS) * GradCAM()(model, images(), TARGETS)

    assert expected.abs().max() > 0
    torch.testing.assert_close(GuidedGradCAM("sum")(model, images(), TARGETS), expected)


def test_colours_are_reduced_as_said(resnet):
    signed = rectified("x", resnet, images(), TARGETS, sloped=True)

    torch.testing.assert_close(GuidedBackprop()(resnet, images(), TARGETS), signed.abs().amax(1))
    torch.testing.assert_close(GuidedBackprop("sum")(resnet, images(), TARGETS), signed.sum(1))


class Grey(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(5))

    def forward(self, images):
        return self.net(images.mean(1, keepdim=True))


@pytest.mark.parametrize("name", ["guided_backprop", "deconv", "deeplift", "lrp"])
def test_a_model_of_one_channel_and_images_of_another_size(name):
    torch.manual_seed(0)
    grey = Grey()
    grey(torch.zeros(1, 3, 8, 8))
    pooled = made("resnet18")

    assert EXPLAINERS[name]()(as_model(grey, (8, 8)), images()[:1, :, :8, :8], TARGETS[:1]).abs().max() > 0
    assert EXPLAINERS[name]()(pooled, images()[:1, :, :40, :56], TARGETS[:1]).shape == (1, 40, 56)
