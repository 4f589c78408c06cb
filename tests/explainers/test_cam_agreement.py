"""The CAM family against pytorch-grad-cam, and where that has another definition, against the equations in a loop."""

import pytest
import torch

from xai_bench.adapters import load_model
from xai_bench.data.image import read_picture, to_images
from xai_bench.explainers import cam as ours
from xai_bench.explainers import explain
from xai_bench.explainers.upsample import upsample
from xai_bench.seeding import Noise

HALF = (0.5, 0.5, 0.5)
# compared before pytorch-grad-cam takes the positive part and rescales each map
SHARED = {
    "GradCAM": ours.GradCAM(relu=False),
    "GradCAMPlusPlus": ours.GradCAMPlusPlus(relu=False),
    "HiResCAM": ours.HiResCAM(),
    "XGradCAM": ours.XGradCAM(relu=False),
    "LayerCAM": ours.LayerCAM(),
    "EigenCAM": ours.EigenCAM(),
    "EigenGradCAM": ours.EigenGradCAM(),
}
UNSIGNED = ("EigenCAM", "EigenGradCAM")  # their sign is LAPACK's


@pytest.fixture(scope="module", params=["test_resnet", "test_vit", "mobilenetv2_100", "vit_tiny_patch16_224"])
def subject(request):
    """A model with two images: random weights at 64 x 64, real ones where the real set is."""
    if request.param.startswith("test"):
        torch.manual_seed(0)
        model = load_model(f"timm:{request.param}", pretrained=False, num_classes=5, input_size=64, device="cpu")
        return model, torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 3])
    folder = request.getfixturevalue("realset")
    settings = {"mean": HALF, "std": HALF} | ({"pad_type": "same"} if "mobilenet" in request.param else {})
    weights = folder / "weights" / f"{request.param}.safetensors"
    model = load_model(f"timm:{request.param}", checkpoint=weights, device="cpu", **settings)
    files = folder / "misc" / "both.png", next((folder / "coco_cc").rglob("*.jpg"))
    pictures = [read_picture(path).resize((224, 224)) for path in files]
    return model, to_images(pictures), torch.tensor([282, 243])


def theirs(name, model, images, targets):
    """Their map of the target layer's cells, not scaled."""
    peers = pytest.importorskip("pytorch_grad_cam")
    outputs = pytest.importorskip("pytorch_grad_cam.utils.model_targets").ClassifierOutputTarget
    layer = model.module.get_submodule(model.layer)
    peer = getattr(peers, name)(model.module, [layer], reshape_transform=model.target_layer.grid)
    inputs, wanted = model.normalise(images).requires_grad_(), list(map(outputs, targets.tolist()))
    try:
        kept = peer.activations_and_grads
        scores = kept(inputs)
        torch.stack([target(score) for target, score in zip(wanted, scores, strict=True)]).sum().backward()
        seen = [each[0].double().numpy() for each in (kept.activations, kept.gradients)]
        return torch.as_tensor(peer.get_cam_image(inputs.detach(), layer, wanted, *seen, eigen_smooth=False))
    finally:
        peer.activations_and_grads.release()
        model.module.zero_grad()


def close(maps, expected):
    """To 1e-4 of each map's greatest value."""
    scale = expected.abs().amax((1, 2), keepdim=True)
    torch.testing.assert_close(maps / scale, expected / scale, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", SHARED)
def test_agrees_with_pytorch_grad_cam(subject, name):
    model, images, targets = subject
    cells, explainer = theirs(name, model, images, targets), SHARED[name]
    expected = upsample(cells.clamp(min=0) if name == "LayerCAM" else cells, images)
    maps = explain(explainer, model, images, targets, Noise(0, "explain", ("a", "b")))
    if name in UNSIGNED:
        expected = expected * (expected * maps).sum((1, 2), keepdim=True).sign()

    assert expected.flatten(1).std(1).min() > 0
    close(maps, expected)
