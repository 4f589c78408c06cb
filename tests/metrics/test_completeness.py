"""Completeness: known sums, integrated gradients and DeepLIFT against maps that promise none."""

import pytest
import torch

import xai_bench as xb
from xai_bench.oracles import IMAGE, Linear, as_model

WEIGHTS = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0))


def test_a_map_of_the_right_sum_is_complete_and_half_of_it_is_half_off():
    model, right = as_model(Linear(WEIGHTS)), (WEIGHTS * IMAGE[0]).sum(0)[None]

    for factor, error in ((1.0, 0.0), (0.5, 0.5), (-1.0, 2.0)):
        found = xb.score("completeness", model, IMAGE, [0], right * factor)
        assert found.values.item() == pytest.approx(error, abs=1e-6)


def test_the_removal_is_the_baseline():
    model, grey = as_model(Linear(WEIGHTS)), {"name": "fill", "colour": "grey"}
    baseline = 0.5 if xb.REMOVALS["fill"](colour="grey") else 0.0
    right = (WEIGHTS * (IMAGE[0] - baseline)).sum(0)[None]

    assert xb.score({"name": "completeness", "removal": grey}, model, IMAGE, [0], right).values.item() < 1e-5
    assert xb.score("completeness", model, IMAGE, [0], right).values.item() > 0.01


def test_nothing_gained_is_undefined():
    found = xb.score("completeness", as_model(Linear(WEIGHTS)), torch.zeros(1, 3, 2, 2), [0], torch.rand(1, 2, 2))

    assert found.values.isnan().all()
    assert found.reasons == ("the image adds nothing to the output",)


def test_integrated_gradients_and_deeplift_are_complete_and_saliency_is_not():
    torch.manual_seed(0)
    model = xb.load_model("timm:test_resnet", pretrained=False, num_classes=4, input_size=64, device="cpu")
    images = torch.rand(2, 3, 64, 64)
    found = {name: xb.score("completeness", model, images, explainer=name) for name in ("ig", "deeplift", "saliency")}

    assert found["deeplift"].values.max() < 1e-4
    assert found["ig"].values.max() < 0.05
    assert found["saliency"].values.min() > 0.5
