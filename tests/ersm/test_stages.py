"""A mask after any stage: the oracle is the uncut network with a hook in that place that multiplies by the mask."""

import copy

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from xai_bench.errors import InvalidValueError, UnknownNameError, UnsupportedError
from xai_bench.ersm import EnergyMask, ErsmModel
from xai_bench.ersm.stages import Cut, cut, run, stages

SIZE = 64
FAMILIES = {  # one small member for each way in which timm's networks are put together
    "test_resnet": {},
    "resnetv2_18": {},
    "test_convnext": {},
    "test_efficientnet": {},
    "test_nfnet": {},
    "test_byobnet": {},
    "mobilenetv3_small_050": {},
    "ghostnet_050": {},
    "densenet121": {},
    "regnetx_002": {},
    "hgnetv2_b0": {},
    "repvit_m0_9": {},
    "dla46_c": {},
    "vgg11_bn": {"mlp_ratio": 1 / 64},
    "rexnetr_100": {},
}


def images_of(count: int = 2, size: int = SIZE) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(3))


def backbone_of(name: str = "test_resnet", **options: object) -> nn.Module:
    """With gains and offsets in which no branch is silent, as those are that start with a gain of 0."""
    torch.manual_seed(0)
    backbone = timm.create_model(name, num_classes=0, **{**FAMILIES.get(name, {}), **options})
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return backbone


def model_of(stage: object = "layer2", name: str = "test_resnet", patch_size: int = 1, **mask: object) -> ErsmModel:
    backbone = backbone_of(name)
    place = cut(backbone, stage, images_of(1))
    layer = EnergyMask(place.map[0], patch_size, **{"mode": "stable", "start": 0.0, **mask})
    nn.init.normal_(layer.weight)
    return ErsmModel(backbone, num_classes=5, mask=layer, stage=place).eval()


def hooked(model: ErsmModel, backbone: nn.Module, stage: str, images: Tensor) -> Tensor:
    """The same from the uncut network: the stage's output times its keep map."""
    handle = backbone.get_submodule(stage).register_forward_hook(lambda _m, _i, out: out * spread(model, out))
    try:
        return model.head(backbone.eval().forward_features(images).mean((2, 3)))
    finally:
        handle.remove()


def spread(model: ErsmModel, features: Tensor) -> Tensor:
    keep = model.mask(features.clone()).keep[:, None]
    return functional.interpolate(keep, features.shape[2:], mode="nearest")


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_every_stage_of_every_family_is_the_uncut_network_with_the_mask_in_its_place(name):
    images = images_of()
    for stage in stages(backbone_of(name)):
        model = model_of(stage, name)
        keep = model.forward_masked(images)[1].keep

        torch.testing.assert_close(model(images), hooked(model, backbone_of(name), stage, images), msg=stage)
        assert keep.std() > 1e-4, f"the mask after {stage} is the same everywhere and would hide a wrong place"


@torch.no_grad()
@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_an_open_mask_after_any_stage_is_the_backbone_and_the_head(name):
    backbone, images = backbone_of(name).eval(), images_of()
    for stage in stages(backbone):
        model = model_of(stage, name)
        cells = model.forward_masked(images)[1].keep
        logits, _ = model.forward_masked(images, torch.ones_like(cells))

        torch.testing.assert_close(logits, model.head(backbone.forward_features(images).mean((2, 3))), msg=stage)


@torch.no_grad()
def test_a_stage_is_named_or_counted_and_the_last_one_is_the_published_place():
    last = model_of("layer4")
    published = ErsmModel(backbone_of(), num_classes=5, mask=copy.deepcopy(last.mask)).eval()
    published.load_state_dict(last.state_dict())

    assert torch.equal(last(images_of()), published(images_of()))
    assert model_of(-1)._cut == model_of(4)._cut == last._cut
    assert last.last_map == published.last_map == "masked"


def test_features_and_the_rest_are_the_two_halves_of_the_backbone():
    model = model_of("layer3")

    assert model.features(images_of()).shape == (2, 192, 4, 4)
    assert model._cut == Cut(
        ("conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3"), ("layer4",), (192, 4, 4), 96
    )
    assert model.last_map == "backbone.layer4"


def test_a_mask_may_stand_between_the_blocks_of_a_stage():
    backbone = timm.create_model("resnet18", num_classes=0)
    place = cut(backbone, "layer2.0", images_of(1))

    assert place.front[-2:] == ("layer1", "layer2.0")
    assert place.rest == ("layer2.1", "layer3", "layer4")


def test_only_mask_and_head_learn_and_gradients_flow_through_the_frozen_rest():
    model, images = model_of(), images_of().requires_grad_()
    logits, out = model.train().forward_masked(images)
    (functional.cross_entropy(logits, torch.tensor([0, 1])) + model.mask.regulariser(out)).backward()
    learnt = {name for name, parameter in model.named_parameters() if parameter.grad is not None}

    assert learnt == {"mask.weight", "mask.bias", "head.weight", "head.bias"}
    assert all(parameter.grad.any() for parameter in (*model.mask.parameters(), *model.head.parameters()))
    assert images.grad.any()


@pytest.mark.parametrize(("mode", "drifts"), [("reference", True), ("stable", False)])
def test_batch_norms_on_both_sides_drift_in_reference_and_stand_still_in_stable(mode, drifts):
    model = model_of(mode=mode, start=None).train()
    before = copy.deepcopy(model.backbone.state_dict())
    model(images_of())

    for name in ("bn1.running_mean", "layer4.0.bn1.running_mean"):
        assert torch.equal(model.backbone.state_dict()[name], before[name]) is not drifts


def test_a_state_is_restored_at_another_input_size():
    trained, fresh = model_of(patch_size=2), model_of(patch_size=2)
    nn.init.normal_(trained.mask.weight)
    fresh.load_state_dict(trained.state_dict())

    for size in (64, 96):
        assert torch.equal(fresh(images_of(size=size)), trained(images_of(size=size)))


class Smooth(nn.Module):
    """Two layers without a kink, in a network that is not timm's and declares no stages."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 2, 2), nn.Sequential(nn.GELU(), nn.Conv2d(4, 3, 1), nn.Tanh())

    def forward_features(self, images: Tensor) -> Tensor:
        return self.two(self.one(images))


@pytest.mark.parametrize("patch_size", [1, 2])
@pytest.mark.parametrize("stage", ["one", "two.1", "two"])
def test_gradients_through_a_mask_in_the_middle_are_those_of_the_function(stage, patch_size):
    backbone = Smooth()
    place = cut(backbone, stage, images_of(1, 8))
    mask = EnergyMask(place.map[0], patch_size, 0.5, 0.5, mode="stable", start=0.1)
    model = ErsmModel(backbone, num_classes=2, mask=mask, stage=stage).double()
    images = images_of(2, 8).double().requires_grad_()

    def loss(images: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        logits = functional_call(model, {"mask.weight": weight, "mask.bias": bias}, (images,))
        out = functional_call(model.mask, {"weight": weight, "bias": bias}, (model.features(images),))
        return logits, model.mask.regulariser(out)

    assert torch.autograd.gradcheck(loss, (images, model.mask.weight, model.mask.bias))


def test_the_backbone_is_left_as_found():
    backbone = backbone_of()
    backbone.layer1.eval()
    state, modes = copy.deepcopy(backbone.state_dict()), [part.training for part in backbone.modules()]
    cut(backbone, "layer2")

    assert [part.training for part in backbone.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in backbone.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in backbone.modules())


def test_a_copy_runs_its_own_backbone():
    model = model_of()
    other = copy.deepcopy(model)
    expected = model(images_of())
    nn.init.zeros_(other.backbone.layer4[0].conv1.weight)

    assert torch.equal(model(images_of()), expected)
    assert not torch.equal(other(images_of()), expected)


class Tricky(nn.Module):
    """Every module's input is what the one before gave, and yet the modules alone are not the network."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.one, self.two, self.three = how, nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3)

    def forward_features(self, images: Tensor) -> Tensor:
        features = self.two(self.one(images))
        if self.how == "in place":
            features.mul_(2)
        if self.how == "a shortcut":
            return features[..., 1:-1, 1:-1] + self.three(features)
        return self.three(features)


def test_a_module_that_works_in_place_is_a_link_of_the_chain():
    assert cut(Tricky("plain"), "one", images_of(1)).rest == ("two", "three")


@pytest.mark.parametrize("how", ["in place", "a shortcut"])
def test_what_happens_between_modules_is_not_lost_unsaid(how):
    with pytest.raises(UnsupportedError, match=r"a mask cannot stand after 'one' of Tricky, .*; leave stage out"):
        cut(Tricky(how), "one", images_of(1))


@pytest.mark.parametrize(
    ("name", "stage", "error", "sentence"),
    [
        ("test_resnet", "layer5", UnknownNameError, r"unknown stage of ResNet 'layer5'; did you mean 'layer4' or"),
        ("test_resnet", "last", UnknownNameError, "known: act1, layer1, layer2, layer3, layer4"),
        ("test_resnet", 5, InvalidValueError, r"stage must be in \[-5, 4\] or a name, one of act1, layer1, .*, got 5"),
        ("test_resnet", -6, InvalidValueError, r"stage must be in \[-5, 4\] .*, got -6"),
        ("test_resnet", "global_pool", InvalidValueError, "stage 'global_pool' of ResNet does not run in forward_feat"),
        ("test_resnet", "layer2.0.conv1", UnsupportedError, "a mask cannot stand after 'layer2.0.conv1' of ResNet"),
        ("test_vit", None, UnsupportedError, r"VisionTransformer cannot carry .* and this one's is \(1, 101, 64\)"),
        ("test_vit", 2, UnsupportedError, r"VisionTransformer cannot carry an energy mask: it needs a convolutional"),
        ("hrnet_w18_small", "stage2", UnsupportedError, "after 'stage2' of HighResolutionNet: its output is a list"),
    ],
)
def test_a_stage_that_cannot_be_is_refused_in_one_sentence(name, stage, error, sentence):
    with pytest.raises(error, match=sentence):
        cut(backbone_of(name), stage)


@pytest.mark.parametrize("stage", [True, 1.0, ("layer1",)])
@pytest.mark.usefixtures("unchecked")
def test_a_stage_that_is_neither_name_nor_number_is_refused(stage):
    with pytest.raises(InvalidValueError, match="stage must be the name or position of a stage, got "):
        cut(backbone_of(), stage)


def test_the_mask_must_be_for_the_channels_of_its_stage():
    with pytest.raises(InvalidValueError, match="the backbone gives 48 channels, but the mask is for 96"):
        ErsmModel(backbone_of(), num_classes=2, mask=EnergyMask(96), stage="layer2")


def test_a_patch_size_is_held_against_the_grid_of_the_stage():
    with pytest.raises(InvalidValueError, match="a feature map of 4 x 4 cannot be cut into patches of patch_size 3"):
        model_of("layer3", patch_size=3)(images_of())


def test_the_parts_of_a_backbone_run_one_after_the_other():
    model = model_of()
    features = run(model.backbone, model._cut.front, images_of())

    torch.testing.assert_close(
        run(model.backbone, model._cut.rest, features), model.backbone.forward_features(images_of())
    )
