"""Score-CAM and Ablation-CAM, pass by pass, against loops over images and channels and against pytorch-grad-cam."""

from functools import partial

import pytest
import torch
from explainer_models import noise, pictures, plain_cnn, vit
from torch import nn
from torch.nn import functional as F

from xai_bench.explainers import explain
from xai_bench.explainers.asked import asked
from xai_bench.explainers.cam import AblationCAM, ScoreCAM
from xai_bench.explainers.look import Sight, look
from xai_bench.removal import Fill

TARGETS = torch.tensor([1, 3])


@pytest.fixture(scope="module", params=[plain_cnn, vit])
def model(request):
    return request.param()


def activations(model):
    with model.ready():
        return look(model, pictures(2), TARGETS, [Sight("layer", gradient=False)]).activations()


def weighted(model, weights):
    cells = (activations(model) * weights[:, :, None, None]).sum(1)
    return F.interpolate(cells[:, None], (64, 64), mode="bilinear")[:, 0]


def close(found, expected):
    torch.testing.assert_close(found / expected.abs().max(), expected / expected.abs().max(), atol=1e-4, rtol=0)


@torch.no_grad()
def scores_of_masks(model, output):
    """The output of each image with each channel as its mask, one pass at a time; black removes."""
    found = torch.zeros(activations(model).shape[:2])
    for row, image in enumerate(pictures(2)):
        for channel, cells in enumerate(activations(model)[row]):
            mask = F.interpolate(cells[None, None], (64, 64), mode="bilinear")[0, 0]
            mask = (mask - mask.min()) / (mask.max() - mask.min()) if mask.max() > mask.min() else mask * 0
            found[row, channel] = output(model((image * mask)[None]))[0, TARGETS[row]]
    return found


@pytest.mark.parametrize("output", ["logit", "probability"])
def test_scorecam_is_the_loop_over_its_masks(model, output):
    scale = {"logit": lambda logits: logits, "probability": lambda logits: logits.softmax(1)}[output]
    with model.ready():
        expected = weighted(model, scores_of_masks(model, scale).softmax(1))
    explainer = ScoreCAM(removal=Fill("black"), output=output, relu=False)

    close(explain(explainer, model, pictures(2), TARGETS, noise(2)), expected)


def theirs(name, model):
    """Their weights (B, C); of masks that are upsampled as ours are."""
    peers = pytest.importorskip("pytorch_grad_cam")
    outputs = pytest.importorskip("pytorch_grad_cam.utils.model_targets").ClassifierOutputTarget
    layer = model.module.get_submodule(model.layer)
    peer = getattr(peers, name)(model.module, [layer], reshape_transform=model.target_layer.grid)
    inputs, wanted = model.normalise(pictures(2)), list(map(outputs, TARGETS.tolist()))
    peer.activations_and_grads.release()
    return torch.as_tensor(peer.get_cam_weights(inputs, layer, wanted, activations(model).numpy(), None))


def test_scorecam_agrees_with_pytorch_grad_cam(model, monkeypatch):
    monkeypatch.setattr(nn, "UpsamplingBilinear2d", partial(nn.Upsample, mode="bilinear"))
    expected = weighted(model, theirs("ScoreCAM", model))

    close(explain(ScoreCAM(relu=False), model, pictures(2), TARGETS, noise(2)), expected)


@torch.no_grad()
def without(model, image, row, channel):
    """Logits of one image with a channel of its patches at 0, or at its least value where that is negative."""

    def off(_module, _inputs, output):
        changed = output.clone()
        patches = changed[:, 1:] if output.ndim == 3 else changed.flatten(2).mT
        values = patches[0, :, channel]
        if output.ndim == 3:
            changed[0, 1:, channel] = min(0, values.min())
        else:
            changed[0, channel] = min(0, values.min())
        return changed

    hook = model.module.get_submodule(model.layer).register_forward_hook(off)
    try:
        return model(image[None])[0]
    finally:
        hook.remove()


@pytest.fixture(scope="module")
def drops(model):
    """What all logits lose without each channel, (B, C, K)."""
    channels = range(activations(model).shape[1])
    with model.ready(), torch.no_grad():
        return torch.stack(
            [
                torch.stack([model(image[None])[0] - without(model, image, row, channel) for channel in channels])
                for row, image in enumerate(pictures(2))
            ]
        )


def test_ablationcam_is_the_loop_over_its_channels(model, drops):
    expected = weighted(model, drops[torch.arange(2), :, TARGETS])

    close(explain(AblationCAM(relu=False), model, pictures(2), TARGETS, noise(2)), expected)


def test_ablationcam_of_a_contrast_is_the_difference_of_two(model, drops):
    weights = torch.zeros(2, 8)
    weights[:, 2], weights[:, 5] = 1, -1
    question, whose = asked(model, weights)

    close(
        explain(AblationCAM(relu=False), question, pictures(2), whose, noise(2)),
        weighted(model, drops[:, :, 2] - drops[:, :, 5]),
    )


def test_ablationcam_agrees_with_pytorch_grad_cam_behind_a_relu():
    model = plain_cnn()
    with model.ready(), torch.no_grad():
        scores = model(pictures(2)).gather(1, TARGETS[:, None])
    expected = weighted(model, theirs("AblationCAM", model) * scores)  # they divide by the score

    assert activations(model).amin() == 0
    close(explain(AblationCAM(relu=False), model, pictures(2), TARGETS, noise(2)), expected)
