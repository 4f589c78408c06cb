"""Layer masking of whole models: exact where all is visible, deaf to what is hidden, loud where it cannot work."""

from functools import cache

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from xai_bench.adapters import Preprocessing, VisionModel, load_model
from xai_bench.data import load_data
from xai_bench.errors import InvalidValueError, UnknownNameError, UnsupportedError
from xai_bench.ersm import EnergyMask, ErsmModel
from xai_bench.removal import Blur, Fill, LayerMasking
from xai_bench.seeding import Noise

NAMES = {
    "resnet18": {},
    "resnet50": {},
    "test_resnet": {"output_stride": 8},
    "mobilenetv2_100": {"pad_type": "same"},
    "test_efficientnet": {},
    "test_convnext": {},
    "densenet121": {},
    "regnety_002": {},
    "resnet26d": {},
    "ersm": {},
    "ersm in the middle": {},
}
SIDE = 49  # odd, so that strides and `same` padding meet the border unevenly
models = pytest.mark.parametrize("name", NAMES)


def vision(module: nn.Module, name: str = "model", side: int = SIDE) -> VisionModel:
    return VisionModel(
        module.eval(), name=name, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), preprocessing=Preprocessing((side, side))
    )


@cache
def model(name: str) -> VisionModel:
    torch.manual_seed(0)
    if name.startswith("ersm"):
        module = ersm(96) if name == "ersm" else ersm(48, "layer2")
    else:
        module = timm.create_model(name, num_classes=10, **NAMES[name])
    calibrate(module)
    return vision(module, name)


def ersm(channels: int, stage: str | None = None) -> ErsmModel:
    mask = EnergyMask(channels, mode="stable", start=0.0)
    nn.init.normal_(mask.weight)
    return ErsmModel(timm.create_model("test_resnet", output_stride=8), num_classes=10, mask=mask, stage=stage)


def calibrate(module: nn.Module) -> None:
    """Statistics that fit the random weights, and biases that would betray a hidden position."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        nn.init.normal_(norm.bias, 0, 0.3)
        norm.train()
    with torch.no_grad():
        module(torch.randn(4, 3, SIDE, SIDE))


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def keep() -> Tensor:
    cells = (torch.rand(2, 7, 7, generator=torch.Generator().manual_seed(2)) > 0.6).float()
    return cells.kron(torch.ones(1, 7, 7))


@torch.inference_mode()
def seen(model: VisionModel, images: Tensor, keep: Tensor, removal: LayerMasking | None = None) -> Tensor:
    return (removal or LayerMasking()).see(model, images, keep, None)


@models
def test_everything_visible_is_the_plain_forward_pass(name, images):
    expected = model(name)(images)

    torch.testing.assert_close(
        seen(model(name), images, torch.ones(2, SIDE, SIDE)), expected, rtol=0, atol=1e-6 * expected.abs().max().item()
    )


@models
def test_what_is_hidden_cannot_leak(name, images, keep):
    expected = seen(model(name), images, keep)
    noisy = torch.where(keep[:, None] == 1, images, 1e3 * torch.randn_like(images))

    torch.testing.assert_close(
        seen(model(name), noisy, keep), expected, rtol=0, atol=1e-6 * expected.abs().max().item()
    )
    assert (expected - model(name)(images)).abs().max() > 1e-3 * expected.abs().max()


@models
def test_nothing_visible_gives_one_prediction_whatever_the_image(name, images):
    logits = seen(model(name), images, torch.zeros(2, SIDE, SIDE))

    assert logits.isfinite().all()
    assert torch.equal(logits[0], logits[1])


@models
def test_a_batch_is_seen_as_its_images_are(name, images, keep):
    """To 1e-4: MobileNetV2 with random weights moves by 1e-5 of its largest logit without masking, too."""
    singly = torch.cat([seen(model(name), images[i : i + 1], keep[i : i + 1]) for i in range(2)])

    torch.testing.assert_close(seen(model(name), images, keep), singly, rtol=0, atol=1e-4 * singly.abs().max().item())


def test_hidden_values_that_are_not_finite_cannot_leak(images, keep):
    broken = torch.where(keep[:, None] == 1, images, torch.nan)

    assert torch.equal(seen(model("test_resnet"), broken, keep), seen(model("test_resnet"), images, keep))


# A small net, followed line by line


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv = nn.Conv2d(3, 6, 5, stride=2, padding=2)
        self.norm = nn.BatchNorm2d(6)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.branch = nn.Conv2d(6, 6, 3, padding=2, dilation=2)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(functional.relu(self.norm(self.conv(x))))
        x = self.branch(x) + x
        return self.head(x.mean((2, 3)))


def around(x: Tensor) -> Tensor:
    return functional.conv2d(x, torch.ones(x.shape[1], 1, 3, 3).to(x), padding=1, groups=x.shape[1])


def filled(x: Tensor, m: Tensor, times: int) -> Tensor:
    for _ in range(times):
        x, m = x + (1 - m) * around(x) / (around(m) + 1e-5), (m + around(m)).clip(0, 1)
    return x


def followed(net: Small, x: Tensor, m: Tensor) -> Tensor:
    """The paper's algorithm, written down for this net alone."""
    x = net.conv(filled(x * m, m, 5))
    m = functional.max_pool2d(m, 5, 2, 2)
    x = functional.relu(net.norm(x * m) * m)
    x, m = functional.max_pool2d(x, 3, 2, 1), functional.max_pool2d(m, 3, 2, 1)
    x = x * m
    branch = net.branch(filled(x, m, 3))
    m_branch = functional.max_pool2d(functional.pad(m, (2, 2, 2, 2)), 3, 1, dilation=2)
    x, m = (branch * m_branch + x) * m_branch * m, m_branch * m
    return net.head((x * m).mean((2, 3)) / (m.mean((2, 3)) + 1e-8))


def test_a_small_net_agrees_with_the_algorithm_written_line_by_line(images):
    net = Small()
    calibrate(net)
    small = vision(net)
    keep = torch.zeros(2, SIDE, SIDE)
    keep[0, 5:14, 20:26] = keep[1, 30:, :7] = keep[1, 2, 2] = 1
    with torch.no_grad():
        expected = followed(net, small.normalise(images), keep[:, None])

    torch.testing.assert_close(seen(small, images, keep), expected, atol=1e-5, rtol=1e-5)


def test_without_padding_the_answer_is_another(images, keep):
    padded, bare = (seen(model("test_resnet"), images, keep, LayerMasking(mode)) for mode in ("neighbour", "none"))

    assert (padded - bare).abs().max() > 1e-3


# ERSM


def test_an_energy_mask_gates_what_is_visible(images, keep):
    """Each gate is computed from visible features; the mean is over visible cells."""
    net, caught = model("ersm").module, []
    handle = net.mask.register_forward_pre_hook(lambda _m, inputs: caught.append(inputs[0]))
    try:
        logits = seen(model("ersm"), images, keep)
    finally:
        handle.remove()
    before = caught[0]
    with torch.inference_mode():
        gated = net.mask(before.value).features * before.mask
        expected = net.head(gated.sum((2, 3)) / before.mask.sum((2, 3)))

    assert 0 < before.mask.mean() < 1
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_no_hook_is_left_on_the_model(images):
    wrapped = model("ersm")
    seen(wrapped, images, torch.ones(2, SIDE, SIDE))
    with pytest.raises(InvalidValueError):
        seen(wrapped, images, torch.full((2, SIDE, SIDE), 0.5))

    assert not any(part._forward_hooks or part._forward_pre_hooks for part in wrapped.module.modules())


# Refusals


class Spread(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.cumsum(2)


def headed(*layers: nn.Module) -> VisionModel:
    return vision(nn.Sequential(*layers, nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()), "mine", 8)


def test_a_layer_without_a_rule_is_refused_with_its_name_and_the_models():
    spread = headed(nn.Conv2d(3, 3, 3), Spread())

    assert LayerMasking().unfit(spread) == (
        "layer masking has no rule for torch.Tensor.cumsum, met in layer '1' (Spread) of model 'mine'; "
        "it covers convolutional networks such as timm's ResNet, MobileNet, EfficientNet, ConvNeXt, DenseNet, RegNet "
        "and VGG"
    )


def test_a_transformer_is_refused():
    vit = vision(timm.create_model("test_vit"), "vit", 160)

    assert "has no rule for" in LayerMasking().unfit(vit)


class Suspicious(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if type(x) is Tensor else x


def test_a_model_that_notices_the_masking_is_refused():
    with pytest.raises(UnsupportedError, match="does not reproduce model 'mine' on an image that is wholly visible"):
        LayerMasking().prepare(headed(Suspicious()), torch.rand(1, 3, 8, 8), Noise(0, "", ("a",)))


def test_a_model_without_an_end_is_refused():
    with pytest.raises(UnsupportedError, match="a model that returns PartlyVisible"):
        seen(vision(nn.Conv2d(3, 3, 1)), torch.rand(1, 3, 8, 8), torch.ones(1, 8, 8))


def test_a_model_with_nan_weights_is_not_taken_for_an_unknown_one():
    broken = headed()
    nn.init.constant_(broken.module[0].bias, float("nan"))

    assert LayerMasking().unfit(broken) == ""


def test_a_soft_mask_is_refused_with_its_range(images, keep):
    soft = keep * 0.5
    soft[0, 0, 0] = 1.75
    with pytest.raises(InvalidValueError, match=r"'layer_masking' knows only hidden .*\[0\.5, 1\.75\]"):
        seen(model("test_resnet"), images, soft)


def test_an_unknown_padding_is_refused():
    with pytest.raises(UnknownNameError, match="unknown padding 'neighbor'; did you mean 'neighbour'"):
        LayerMasking("neighbor")


# Real weights


@pytest.mark.realset
def test_on_real_weights_predictions_outlive_other_removals(realset):
    """30 % of the 16 x 16 patches are gone; measured on 64 images: .70 unchanged, against .20 (mean) and .30 (blur)."""
    real = load_model(
        "timm:mobilenetv2_100",
        checkpoint=str(realset / "weights" / "mobilenetv2_100.safetensors"),
        pad_type="same",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        device="cpu",
    )
    images = torch.cat([batch.images for batch in load_data("imagenet_val", path=realset, size=224, n=24)])
    noise = Noise(0, "patches", tuple(map(str, range(len(images)))))
    keep = (noise.uniform(14, 14) >= 0.3).float().kron(torch.ones(1, 16, 16))
    unchanged = {}
    with torch.inference_mode():
        clean = real(images).argmax(1)
        for removal in (LayerMasking(), Fill("mean"), Blur()):
            logits = removal.see(real, images, keep, removal.prepare(real, images, noise))
            unchanged[removal.card.name] = (logits.argmax(1) == clean).float().mean().item()

    assert unchanged["layer_masking"] > max(unchanged["fill"], unchanged["blur"]) + 0.15
