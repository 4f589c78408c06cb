"""Gradients of real weights at a photograph: agreement with captum, and how complete integrated gradients are."""

import pytest
import torch
from captum.attr import InputXGradient as CaptumInputXGradient
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from captum.attr import Saliency as CaptumSaliency

from xai_bench.adapters import load_model
from xai_bench.data.image import read_picture, to_images
from xai_bench.explainers.gradient import InputXGradient, IntegratedGradients, Saliency

pytestmark = pytest.mark.realset
MODELS = {"mobilenetv2_100": {"pad_type": "same"}, "vit_tiny_patch16_224": {}}


@pytest.fixture(scope="module", params=MODELS)
def shown(request, realset):
    """A model, a photograph of a dog, and what the model sees in it."""
    weights, half = realset / "weights" / f"{request.param}.safetensors", (0.5, 0.5, 0.5)
    settings = {"mean": half, "std": half} | MODELS[request.param]
    model = load_model(f"timm:{request.param}", checkpoint=weights, device="cpu", **settings)
    image = to_images(read_picture(realset / "misc" / "both.png").resize((224, 224)))
    with model.ready(), torch.no_grad():
        return model, image, model(image).argmax(1)


def close(found, expected):
    torch.testing.assert_close(found / expected.abs().max(), expected / expected.abs().max(), rtol=1e-4, atol=1e-4)


def test_maps_are_captums(shown):
    model, image, target = shown
    with model.ready():
        gradient = CaptumSaliency(model).attribute(image.clone().requires_grad_(), target=target)
        product = CaptumInputXGradient(model).attribute(image.clone().requires_grad_(), target=target).detach()
        path = CaptumIntegratedGradients(model).attribute(image, target=target, n_steps=8)

    close(Saliency()(model, image, target), gradient.amax(1))
    close(InputXGradient()(model, image, target), product.sum(1))
    close(IntegratedGradients(8, quadrature="gauss_legendre")(model, image, target), path.sum(1))


def test_integrated_gradients_are_complete_to_one_per_cent_at_the_default_number_of_steps(shown):
    model, image, target = shown
    explainer = IntegratedGradients()
    with model.ready():
        maps = explainer(model, image, target)

    assert explainer.completeness_error(model, image, target, maps).item() < 0.01
