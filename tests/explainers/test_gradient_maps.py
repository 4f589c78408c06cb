"""Explainers that read gradients at the image or at noisy copies of it: maps known on paper, agreement with captum."""

import pytest
import torch
from captum.attr import InputXGradient as CaptumInputXGradient
from captum.attr import NoiseTunnel
from captum.attr import Saliency as CaptumSaliency
from torch import nn

from xai_bench.adapters import Preprocessing, VisionModel, load_model
from xai_bench.errors import InvalidValueError, UnknownNameError, UnsupportedError
from xai_bench.explainers import EXPLAINERS, explain
from xai_bench.explainers.gradient import (
    GRADIENT,
    InputXGradient,
    Saliency,
    SmoothGrad,
    SmoothGradSquared,
    VarGrad,
    copies,
)
from xai_bench.oracles import IMAGE, Linear, as_model
from xai_bench.seeding import Noise

# the others follow rules of their own, refuse by what they have no rule for, and are tested beside those rules
DIFFERENTIATING = [one for one in GRADIENT if one.card.name not in ("guided_backprop", "deconv", "deeplift", "lrp")]
WEIGHTS = torch.tensor([[[1.0, -2.0], [0.0, 3.0]], [[-3.0, 1.0], [0.0, 4.0]], [[2.0, 0.0], [0.0, 0.0]]])
TARGET = torch.tensor([0])
KEY = Noise(0, "explain", ("one",))


class Squares(nn.Module):
    """Logits (half the sum of the squared colours, 0): the gradient is the image."""

    def forward(self, images):
        total = images.square().sum((1, 2, 3)) / 2
        return torch.stack([total, torch.zeros_like(total)], 1)


def noise(count=3, start=0):
    return Noise(0, "explain", tuple(f"s{i}" for i in range(start, start + count)))


def pictures(count=3, size=64):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def small(entry):
    """At few passes, where it makes many."""
    return entry(**{key: 5 for key in ("samples", "steps") if key in entry.__dataclass_fields__})


@pytest.fixture(scope="module", params=["test_efficientnet", "test_vit"])
def model(request):
    """Both are smooth: at the kink of a ReLU a rounding error of the input turns the gradient."""
    torch.manual_seed(0)
    return load_model(f"timm:{request.param}", pretrained=False, num_classes=5, input_size=64, device="cpu")


@pytest.mark.parametrize(
    ("colours", "expected"),
    [
        ("max", [[3.0, 2.0], [0.0, 4.0]]),
        ("norm", [[14**0.5, 5**0.5], [0.0, 5.0]]),
        ("sum", [[0.0, -1.0], [0.0, 7.0]]),
    ],
)
def test_saliency_of_a_linear_model_is_the_size_of_its_weights(colours, expected):
    found = Saliency(colours)(as_model(Linear(WEIGHTS)), IMAGE, TARGET)

    torch.testing.assert_close(found, torch.tensor([expected]))


@pytest.mark.parametrize(("baseline", "colour"), [("black", 0.0), ("mean", 0.25), ("white", 1.0)])
def test_input_x_gradient_of_a_linear_model_is_weight_times_difference(baseline, colour):
    linear = VisionModel(
        Linear(WEIGHTS), name="linear", mean=(0.25,) * 3, std=(0.5,) * 3, preprocessing=Preprocessing((2, 2))
    )
    found = InputXGradient(baseline)(linear, IMAGE, TARGET)

    torch.testing.assert_close(found, ((IMAGE - colour) * WEIGHTS / 0.5).sum(1))


def test_an_image_of_the_baselines_colour_has_a_map_of_zeros(model):
    white = torch.ones(1, 3, 64, 64)

    assert InputXGradient("white")(model, white, TARGET).abs().max() == 0
    assert InputXGradient("blur")(model, white * 0.5, TARGET).abs().max() < 1e-4  # blurring rounds
    assert InputXGradient("black")(model, white, TARGET).abs().max() > 0


@pytest.mark.parametrize("colours", ["max", "norm", "sum"])
def test_without_noise_smoothgrad_is_saliency_and_vargrad_nothing(model, colours):
    targets, images = torch.tensor([1, 2, 0]), pictures()
    expected = Saliency(colours)(model, images, targets)

    torch.testing.assert_close(SmoothGrad(3, 0.0, colours)(model, images, targets, noise()), expected)
    assert VarGrad(3, 0.0)(model, images, targets, noise()).max() < 1e-9 * expected.abs().max()
    assert VarGrad(1)(model, images, targets, noise()).max() == 0


def test_noise_of_a_square_is_known_on_paper():
    # the gradient at a noisy copy is the copy itself: mean x, square x^2 + sigma^2, variance sigma^2; three colours
    square, many = as_model(Squares()), 4000
    mean = SmoothGrad(many, 0.1, "sum")(square, IMAGE, TARGET, KEY)
    second = SmoothGradSquared(many, 0.1)(square, IMAGE, TARGET, KEY)
    variance = VarGrad(many, 0.1)(square, IMAGE, TARGET, KEY)

    torch.testing.assert_close(mean, IMAGE.sum(1), atol=0.02, rtol=0)
    torch.testing.assert_close(second, IMAGE.square().sum(1) + 0.03, atol=0.01, rtol=0)
    torch.testing.assert_close(variance, torch.full((1, 2, 2), 0.03), atol=0.003, rtol=0)


def test_moments_are_those_of_gradients_taken_one_by_one(model):
    images, targets, sigma = pictures(2), torch.tensor([3, 1]), 0.2
    fields = {
        (row, copy): Noise(0, f"explain/{copy}", (f"s{row}",)).normal(3, 64, 64) for row in (0, 1) for copy in range(20)
    }
    gradients = torch.stack(
        [
            torch.stack([gradient(model, images[row] + sigma * fields[row, copy], targets[row]) for copy in range(20)])
            for row in (0, 1)
        ]
    ).double()
    mean, second = gradients.mean(1), gradients.square().mean(1)
    variance = gradients.var(1, correction=0)

    close(SmoothGrad(20, sigma)(model, images, targets, noise(2)), mean.abs().amax(1))
    close(SmoothGradSquared(20, sigma)(model, images, targets, noise(2)), second.sum(1))
    close(VarGrad(20, sigma)(model, images, targets, noise(2)), variance.sum(1))


def gradient(model, image, target):
    """Of one picture, or of one whose noise has a batch axis of 1."""
    shown = image.reshape(1, *image.shape[-3:]).clone().requires_grad_()
    with model.ready():
        return torch.autograd.grad(model(shown)[0, target], shown)[0][0]


def close(found, expected, relative=1e-4):
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected.float() / scale, rtol=relative, atol=relative)


def test_saliency_is_captums(model):
    images, targets = pictures(), torch.tensor([0, 3, 4])
    with model.ready():
        signed = CaptumSaliency(model).attribute(images.clone().requires_grad_(), target=targets, abs=False)

    close(Saliency()(model, images, targets), signed.abs().amax(1))
    close(Saliency("norm")(model, images, targets), signed.norm(dim=1))
    close(Saliency("sum")(model, images, targets), signed.sum(1))


def test_input_x_gradient_is_captums_of_the_image_and_with_the_mean_of_the_normalised_image(model):
    images, targets = pictures(), torch.tensor([0, 3, 4])
    with model.ready():
        black = CaptumInputXGradient(model).attribute(images.clone().requires_grad_(), target=targets)
        inside = model.normalise(images).requires_grad_()
        mean = CaptumInputXGradient(model.module).attribute(inside, target=targets)

    close(InputXGradient()(model, images, targets), black.detach().sum(1))
    close(InputXGradient("mean")(model, images, targets), mean.detach().sum(1))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (SmoothGrad(9, 0.2, "sum"), "smoothgrad"),
        (SmoothGradSquared(9, 0.2), "smoothgrad_sq"),
        (VarGrad(9, 0.2), "vargrad"),
    ],
)
def test_noisy_gradients_are_captums_given_the_same_noise(model, monkeypatch, ours, theirs):
    images, targets = pictures(), torch.tensor([0, 3, 4])
    drawn = torch.cat(
        [Noise(0, f"explain/{copy}", (f"s{row}",)).normal(3, 64, 64) for row in range(3) for copy in range(9)]
    )

    def add(image, stdev, count):
        return image.repeat_interleave(count, 0) + stdev * drawn

    monkeypatch.setattr(NoiseTunnel, "_add_noise_to_input", staticmethod(add))
    with model.ready():
        tunnel = NoiseTunnel(CaptumSaliency(model))
        expected = tunnel.attribute(images, theirs, nt_samples=9, stdevs=0.2, target=targets, abs=False)

    close(ours(model, images, targets, noise()), expected.detach().sum(1))


@pytest.mark.parametrize("entry", DIFFERENTIATING)
def test_how_copies_are_divided_into_passes_changes_nothing(model, entry, monkeypatch):
    images, targets = pictures(), torch.tensor([0, 3, 4])
    together = explain(small(entry), model, images, targets, noise())
    monkeypatch.setattr(copies, "AT_ONCE", 4)

    close(explain(small(entry), model, images, targets, noise()), together)


def test_no_pass_holds_more_than_the_bound_whatever_the_batch(model):
    sizes = []
    with_hook = model.module.register_forward_pre_hook(lambda _m, inputs: sizes.append(len(inputs[0])))
    try:
        explain(SmoothGrad(30), model, pictures(3), torch.tensor([0, 3, 4]), noise())
    finally:
        with_hook.remove()

    assert sizes == [32, 32, 26]


def test_fewer_samples_are_the_first_of_more_and_keyed_by_the_image():
    def seen(samples, ids):
        key, shown = Noise(0, "explain", ids), torch.zeros(len(ids), 3, 2, 2)
        return SmoothGrad(samples, 1.0, "sum")(as_model(Squares()), shown, torch.zeros(len(ids), dtype=torch.long), key)

    one, two = seen(1, ("a", "b"))
    drawn = [Noise(0, f"explain/{copy}", ("a",)).normal(3, 2, 2)[0].sum(0) for copy in (0, 1)]

    torch.testing.assert_close(one, drawn[0])
    torch.testing.assert_close(seen(2, ("a",))[0], (drawn[0] + drawn[1]) / 2)
    torch.testing.assert_close(seen(1, ("b", "a")), torch.stack([two, one]))


class Hard(nn.Module):
    """A network that decides by a threshold, through which no gradient comes."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 2, 1)

    def forward(self, images):
        return (self.features(images) > 0).float().mean((2, 3))


@pytest.mark.parametrize("entry", DIFFERENTIATING)
def test_a_model_without_gradients_is_refused_by_name(entry):
    with pytest.raises(UnsupportedError, match=r"no gradient of model 'hard' reaches .*not differentiable"):
        explain(small(entry), as_model(Hard()), IMAGE, TARGET, KEY)


class InPlace(nn.Module):
    """The same network with activations in place or not, one of them used twice."""

    def __init__(self, inplace):
        super().__init__()
        self.first, self.second, self.relu = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.ReLU(inplace=inplace)

    def forward(self, images):
        return self.relu(self.second(self.relu(self.first(images)))).mean((2, 3))


@pytest.mark.parametrize("entry", GRADIENT)
def test_activations_in_place_and_used_twice_change_nothing(entry):
    torch.manual_seed(0)
    plain, inplace = InPlace(False), InPlace(True)
    inplace.load_state_dict(plain.state_dict())
    maps = [
        explain(small(entry), as_model(net, (16, 16)), pictures(2, 16), torch.tensor([0, 1]), noise(2))
        for net in (plain, inplace)
    ]

    assert maps[0].abs().max() > 0
    torch.testing.assert_close(*maps)


@pytest.mark.parametrize("entry", GRADIENT)
def test_images_of_another_size_than_the_models_are_explained_at_theirs(entry):
    torch.manual_seed(0)
    resnet = load_model("timm:test_resnet", pretrained=False, num_classes=5, input_size=64, device="cpu")
    shown = pictures(1, 64)[..., :40]

    assert explain(small(entry), resnet, shown, TARGET, KEY).shape == (1, 64, 40)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "wrong", "sentence"),
    [
        *(
            (name, {"samples": 0}, f"samples of {name} must be at least 1, got 0")
            for name in ("smoothgrad", "vargrad", "smoothgrad_squared", "gradient_shap")
        ),
        *(
            (
                name,
                {"sigma": sigma},
                f"sigma of {name} is a fraction of the range of values and must be at least 0, got {sigma}",
            )
            for name, sigma in (("smoothgrad", -0.1), ("vargrad", float("nan")), ("gradient_shap", float("inf")))
        ),
        ("blur_ig", {"sigma": 0.0}, "sigma of blur_ig is in sides of the image and must be above 0, got 0.0"),
        ("blur_ig", {"steps": 0}, "steps of blur_ig must be at least 1, got 0"),
        ("ig", {"steps": 0}, "steps of ig must be at least 1, got 0"),
    ],
)
def test_values_that_mean_nothing_are_refused(name, wrong, sentence):
    with pytest.raises(InvalidValueError, match=sentence):
        EXPLAINERS.build({"name": name} | wrong)


@pytest.mark.parametrize(
    ("name", "wrong", "sentence"),
    [
        ("saliency", {"colours": "mean"}, "unknown colours of .*saliency 'mean'.*max, norm, sum"),
        ("ig", {"baseline": "blck"}, "unknown baseline of .*ig 'blck'; did you mean 'black'"),
        (
            "gradient_shap",
            {"baseline": "unifrm"},
            "unknown baseline of .*gradient_shap 'unifrm'; did you mean 'uniform'",
        ),
    ],
)
def test_unknown_words_are_refused_with_what_there_is(name, wrong, sentence):
    with pytest.raises(UnknownNameError, match=sentence):
        EXPLAINERS.build({"name": name} | wrong)
