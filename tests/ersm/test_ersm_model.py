"""ErsmModel: what is frozen, what is masked, and which head reads it."""

from shutil import which

import pytest
import torch
from timm import create_model
from torch import Tensor, nn

from xai_bench.errors import InvalidValueError
from xai_bench.ersm import EnergyMask, ErsmModel

STAGES = {None: 96, "layer2": 48}  # where the mask stands, and its channels
anywhere = pytest.mark.parametrize("stage", STAGES)


def model_of(mode: str = "stable", stage: str | None = None, **mask: object) -> ErsmModel:
    torch.manual_seed(0)
    backbone = create_model("test_resnet", num_classes=7, output_stride=8)
    return ErsmModel(backbone, num_classes=5, mask=EnergyMask(STAGES[stage], mode=mode, **mask), stage=stage)


def lively(stage: str | None) -> ErsmModel:
    """A mask that tells tokens apart, over patches of 2."""
    model = model_of(stage=stage, start=0.0, patch_size=2).eval()
    nn.init.normal_(model.mask.weight)
    return model


def images_of(count: int = 3) -> Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(2))


def test_logits_are_the_head_of_the_mean_masked_feature():
    model = model_of(start=0.0).eval()
    features = model.backbone.forward_features(images_of())
    expected = model.head((features * model.mask(features).keep[:, None]).mean((2, 3)))

    torch.testing.assert_close(model(images_of()), expected)
    assert expected.shape == (3, 5)


def test_hooks_on_masked_see_the_masked_features():
    model, seen = model_of(start=0.0).eval(), []
    model.masked.register_forward_hook(lambda _m, _i, out: seen.append(out))
    _, out = model.forward_masked(images_of())

    assert torch.equal(seen[0], out.features)


def test_an_empty_forced_mask_leaves_the_heads_bias():
    model = model_of().eval()
    logits, _ = model.forward_masked(images_of(2), torch.zeros(2, 8, 8))

    torch.testing.assert_close(logits, model.head.bias.expand(2, 5))


def test_a_full_forced_mask_is_the_backbone_and_the_head():
    model = model_of("reference").eval()
    expected = model.head(model.features(images_of(2)).mean((2, 3)))

    for compensate in (False, True):
        logits, _ = model.forward_masked(images_of(2), torch.ones(2, 8, 8), compensate=compensate)
        torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize(("mode", "learnt"), [("reference", {"mask.weight"}), ("stable", {"mask.weight", "mask.bias"})])
def test_only_the_mask_and_the_head_learn(mode, learnt):
    names = {name for name, parameter in model_of(mode).named_parameters() if parameter.requires_grad}

    assert names == learnt | {"head.weight", "head.bias"}


@pytest.mark.parametrize(("mode", "drifts"), [("reference", True), ("stable", False)])
def test_batch_norms_drift_in_reference_and_stand_still_in_stable(mode, drifts):
    model = model_of(mode).train()
    before = model.backbone.bn1.running_mean.clone()
    model(images_of())

    assert torch.equal(model.backbone.bn1.running_mean, before) is not drifts
    assert model.training
    assert model.head.training


def test_gradients_reach_the_images_through_the_frozen_backbone():
    model, images = model_of(start=0.0).eval(), images_of().requires_grad_()
    model(images).sum().backward()

    assert images.grad.abs().sum() > 0


def test_it_is_the_same_with_a_backbone_whose_classifier_was_never_there():
    bare = create_model("test_resnet", num_classes=0, output_stride=8)
    other = ErsmModel(bare, num_classes=5, mask=EnergyMask(96, mode="stable"))
    model = model_of()
    other.load_state_dict(model.state_dict())

    assert torch.equal(other.eval()(images_of()), model.eval()(images_of()))


@anywhere
def test_inference_mode_and_channels_last_change_nothing(stage):
    model = lively(stage)
    expected = model(images_of())
    with torch.inference_mode():
        torch.testing.assert_close(model(images_of()), expected)
        last = model.to(memory_format=torch.channels_last)
        torch.testing.assert_close(last(images_of().to(memory_format=torch.channels_last)), expected)


@anywhere
@torch.no_grad()
def test_half_precision_rounds_and_changes_nothing_else(stage):
    """To 2^-6 of what is largest: bfloat16 keeps 8 bits, and the layers of the backbone round one after the other."""
    model = lively(stage)
    expected, mask = model.forward_masked(images_of())
    with torch.autocast("cpu", torch.bfloat16):
        automatic, seen = model.forward_masked(images_of())
    pure, whole = model.bfloat16().forward_masked(images_of().bfloat16())

    for logits, out in ((automatic, seen), (pure, whole)):
        assert logits.dtype == torch.bfloat16
        assert out.features.dtype == torch.bfloat16
        assert out.keep.dtype == torch.float32
        torch.testing.assert_close(logits.float(), expected, rtol=0, atol=expected.abs().max().item() / 64)
        torch.testing.assert_close(out.keep, mask.keep, rtol=0, atol=1 / 64)


BACKENDS = ["eager", pytest.param("inductor", marks=pytest.mark.skipif(not which("c++"), reason="no C++ compiler"))]


@anywhere
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.usefixtures("unchecked")  # torch.compile cannot trace type checks
def test_it_compiles_whole_and_without_a_graph_break(stage, backend):
    model = lively(stage)
    compiled = torch.compile(model.forward_masked, backend=backend, fullgraph=True)
    with torch.inference_mode():
        (logits, out), (expected, mask) = compiled(images_of()), model.forward_masked(images_of())

    torch.testing.assert_close(logits, expected)
    for seen, wanted in zip(out, mask, strict=True):
        torch.testing.assert_close(seen, wanted, rtol=1e-5, atol=1e-6)


def test_the_backbone_must_give_feature_maps():
    with pytest.raises(InvalidValueError, match=r"backbone must have forward_features.*got Linear"):
        ErsmModel(nn.Linear(3, 3), num_classes=2, mask=EnergyMask(3))


def test_mask_and_backbone_must_agree_on_channels():
    with pytest.raises(InvalidValueError, match="the backbone gives 96 channels, but the mask is for 64"):
        ErsmModel(create_model("test_resnet", num_classes=0), num_classes=2, mask=EnergyMask(64))
