"""Explainers that gather gradients on a path to the image: maps known on paper, completeness, agreement with captum."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from captum.attr import GradientShap as CaptumGradientShap
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from torch import nn

from xai_bench.adapters import load_model
from xai_bench.explainers.gradient import BlurIntegratedGradients, GradientShap, IntegratedGradients
from xai_bench.explainers.gradient.baselines import baseline
from xai_bench.explainers.gradient.gaussian import blurred
from xai_bench.oracles import IMAGE, Linear, as_model
from xai_bench.removal import Blur
from xai_bench.removal.blur import reflected
from xai_bench.seeding import Noise

WEIGHTS = torch.tensor([[[1.0, -2.0], [0.0, 3.0]], [[-3.0, 1.0], [0.0, 4.0]], [[2.0, 0.0], [0.0, 0.0]]])
TARGET = torch.tensor([0])
KEY = Noise(0, "explain", ("one",))
BASELINES = ["black", "mean", "white", "blur"]


class Squares(nn.Module):
    """Logits (half the sum of the squared colours, 0): the gradient is the image."""

    def forward(self, images):
        total = images.square().sum((1, 2, 3)) / 2
        return torch.stack([total, torch.zeros_like(total)], 1)


def noise(count=3):
    return Noise(0, "explain", tuple(f"s{i}" for i in range(count)))


def pictures(count=3, size=64):
    """Smooth and rough at once, as photographs are."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.nn.functional.interpolate(torch.rand(count, 3, 8, 8, generator=generator), size, mode="bilinear")
    return coarse * 0.8 + 0.2 * torch.rand(count, 3, size, size, generator=generator)


@pytest.fixture(scope="module", params=["test_efficientnet", "test_vit"])
def model(request):
    """Both are smooth: at the kink of a ReLU a rounding error of the input turns the gradient."""
    torch.manual_seed(0)
    return load_model(f"timm:{request.param}", pretrained=False, num_classes=5, input_size=64, device="cpu")


def close(found, expected, relative=1e-4):
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected.float() / scale, rtol=relative, atol=relative)


def score(model, images, targets):
    with model.ready(), torch.no_grad():
        return model(images).gather(1, targets[:, None])[:, 0]


def gradients(model, images, targets):
    """Straight from the definition, all at once."""
    shown = images.clone().requires_grad_()
    with model.ready():
        return torch.autograd.grad(model(shown).gather(1, targets[:, None]).sum(), shown)[0]


@pytest.mark.parametrize(("name", "colour"), [("black", 0.0), ("white", 1.0)])
def test_paths_of_a_linear_model_give_weight_times_difference(name, colour):
    expected = ((IMAGE - colour) * WEIGHTS).sum(1)
    linear = as_model(Linear(WEIGHTS))

    torch.testing.assert_close(IntegratedGradients(3, name)(linear, IMAGE, TARGET), expected)
    torch.testing.assert_close(GradientShap(3, name)(linear, IMAGE, TARGET, KEY), expected)


def test_baselines_are_what_they_are_called(model):
    images = pictures(2)

    assert baseline("white", model, images).eq(1).all()
    assert model.normalise(baseline("mean", model, images)).abs().max() < 1e-6
    torch.testing.assert_close(baseline("blur", model, images), Blur().prepare(model, images, noise(2)))


@pytest.mark.parametrize("sigma", [0.1, 0.6, 3.0, 30.0])
def test_blurring_by_matrices_is_removal_blurs_convolution(sigma):
    images = pictures(2)[..., :40]

    torch.testing.assert_close(blurred(images, sigma), reflected(images, sigma, int(4 * sigma + 0.5)))


@pytest.mark.parametrize("name", BASELINES)
def test_integrated_gradients_are_captums_from_every_baseline(model, name):
    images, targets = pictures(), torch.tensor([0, 3, 4])
    with model.ready():
        method = CaptumIntegratedGradients(model)
        starts = baseline(name, model, images).contiguous()
        expected = method.attribute(images, starts, target=targets, n_steps=12)

    close(IntegratedGradients(12, name, "gauss_legendre")(model, images, targets), expected.sum(1))


@pytest.mark.parametrize("name", BASELINES)
def test_the_completeness_error_is_small_and_falls_with_the_steps(model, name):
    images, targets = pictures(), torch.tensor([0, 3, 4])
    few, many = (
        made.completeness_error(model, images, targets, made(model, images, targets))
        for made in (IntegratedGradients(2, name), IntegratedGradients(128, name))
    )

    assert many.max() < 0.02
    assert many.mean() < max(few.mean() / 2, 1e-5)


def test_the_completeness_error_by_hand():
    # score 0.5 * 3 * (0.16 + 0.09 + 0.04 + 0.01) = 0.45, of black 0
    square, explainer = as_model(Squares()), IntegratedGradients(4)
    exact = IMAGE.square().sum(1) / 2

    torch.testing.assert_close(explainer(square, IMAGE, TARGET), exact)
    for factor, error in ((1.0, 0.0), (1.1, 0.1), (0.5, 0.5), (-1.0, 2.0)):
        found = explainer.completeness_error(square, IMAGE, TARGET, exact * factor)
        assert found.tolist() == pytest.approx([error], abs=1e-6)


def test_the_completeness_error_of_a_path_that_gains_nothing_is_undefined():
    square, black = as_model(Squares()), torch.zeros(1, 3, 2, 2)
    explainer = IntegratedGradients(4)

    assert explainer(square, black, TARGET).abs().max() == 0
    assert explainer.completeness_error(square, black, TARGET, torch.zeros(1, 2, 2)).isnan().all()


def test_the_completeness_error_leaves_the_model_as_it_was(model):
    model.module.train()
    try:
        IntegratedGradients(2).completeness_error(model, pictures(1), TARGET, torch.zeros(1, 64, 64))

        assert model.module.training
        assert all(parameter.requires_grad for parameter in model.module.parameters())
    finally:
        model.module.eval()


def drawn(kind, count, samples):
    """What gradient_shap draws for each copy, (count * samples, 3, 64, 64)."""
    streams = [Noise(0, f"explain/{kind}/{copy}", (f"s{row}",)) for row in range(count) for copy in range(samples)]
    return torch.cat([(s.normal if kind == "image" else s.uniform)(3, 64, 64) for s in streams])


@pytest.mark.parametrize("sigma", [0.0, 0.1])
def test_gradient_shap_is_captums_given_the_same_draws(model, monkeypatch, sigma):
    images, targets, samples = pictures(), torch.tensor([0, 3, 4]), 7
    places = (torch.arange(samples) + Noise(0, "explain/place", ("s0", "s1", "s2")).uniform(samples)) / samples
    monkeypatch.setattr(np.random, "choice", lambda _size, count: np.arange(count))
    monkeypatch.setattr(np.random, "uniform", lambda _low, _high, _count: places.flatten().numpy())
    monkeypatch.setattr(torch, "normal", lambda _mean, _stdev: sigma * drawn("image", 3, samples))
    with model.ready():
        expected = CaptumGradientShap(model).attribute(
            images, drawn("baseline", 3, samples), n_samples=samples, stdevs=sigma, target=targets
        )

    close(GradientShap(samples, sigma=sigma)(model, images, targets, noise()), expected.detach().sum(1))


def test_gradient_shap_of_a_square_is_known_on_paper():
    # (x - b) times the mean of b + a (x - b): (x^2 - b^2) / 2 in the mean, and E b^2 = 1/3 for a uniform baseline
    found = GradientShap(4000)(as_model(Squares()), IMAGE, TARGET, KEY)

    torch.testing.assert_close(found, (IMAGE.square() - 1 / 3).sum(1) / 2, atol=0.03, rtol=0)


def test_points_of_gradient_shap_lie_one_in_each_part_of_the_line():
    # the gradient of a square of one colour from black is the place itself: with one in each part the mean is near 1/2
    ones = torch.ones(1, 3, 2, 2)
    found = GradientShap(100, "black")(as_model(Squares()), ones, TARGET, KEY)

    assert found.flatten().tolist() == pytest.approx([1.5] * 4, abs=0.01)  # independent draws scatter by 0.09


def test_blur_ig_of_a_linear_model_and_of_a_square_are_known_on_paper():
    # both integrands are straight lines on a side of the polygon, so that the middle is exact
    image = pictures(1, 16)
    weights = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
    soft = reflected(image, 0.2 * 16, 13)

    for steps in (1, 7):
        made = BlurIntegratedGradients(steps)
        close(made(as_model(Linear(weights), (16, 16)), image, TARGET), ((image - soft) * weights).sum(1))
        square = made(as_model(Squares(), (16, 16)), image, TARGET)
        assert square.sum().item() == pytest.approx((image.square() - soft.square()).sum().item() / 2, rel=1e-4)


def test_blur_ig_is_the_sum_of_its_definition(model):
    images, targets, steps, widest = pictures(2), torch.tensor([3, 1]), 9, 0.2 * 64
    path = [images]
    for step in range(1, steps + 1):
        sigma = widest * step / steps
        path.append(reflected(images, sigma, int(4 * sigma + 0.5)))
    expected = sum((sharp - soft) * gradients(model, (sharp + soft) / 2, targets) for sharp, soft in pairwise(path))

    close(BlurIntegratedGradients(steps)(model, images, targets), expected.sum(1))


def test_blur_ig_sums_to_what_the_path_gains(model):
    images, targets, made = pictures(), torch.tensor([0, 3, 4]), BlurIntegratedGradients(64)
    maps = made(model, images, targets)
    soft = reflected(images, 0.2 * 64, 51)
    gain = score(model, images, targets) - score(model, soft, targets)

    torch.testing.assert_close(maps.sum((1, 2)), gain, rtol=0.02, atol=0.0)
    assert made.completeness_error(model, images, targets, maps).max() < 0.02


def test_an_image_of_one_colour_has_no_blur_to_explain(model):
    assert BlurIntegratedGradients(4)(model, torch.full((1, 3, 64, 64), 0.5), TARGET).abs().max() < 1e-5


@pytest.mark.parametrize("made", [IntegratedGradients(3), GradientShap(3), BlurIntegratedGradients(3)])
def test_maps_have_both_signs(model, made):
    extra = {"noise": noise()} if isinstance(made, GradientShap) else {}
    maps = made(model, pictures(), torch.tensor([0, 3, 4]), **extra)

    assert maps.min() < 0 < maps.max()
