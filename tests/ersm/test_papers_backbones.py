"""The default place is the paper's: torchvision's `features` of its three backbones, by the same weights."""

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from xai_bench.ersm import EnergyMask, ErsmModel

# timm's name and options, torchvision's name, and the channels that the published mask has
BACKBONES = [
    ("resnet50", {}, "resnet50", 2048),
    ("convnext_tiny", {}, "convnext_tiny", 768),
    ("efficientnetv2_s", {"bn_eps": 1e-3}, "efficientnet_v2_s", 1280),
]


def published(name: str) -> nn.Module:
    """All that comes before torchvision's global pooling; for ConvNeXt that is before its last norm."""
    whole = torchvision.models.get_model(name, weights=None)
    return nn.Sequential(*list(whole.children())[:-2])


def read(backbone: nn.Module) -> list[Tensor]:
    """What the feature map depends on; `head.norm` is ConvNeXt's last norm, which the paper does not apply."""
    unread = ("num_batches_tracked", "head.norm.weight", "head.norm.bias")
    return [value for key, value in backbone.state_dict().items() if not key.endswith(unread)]


def lend(weights: list[Tensor], backbone: nn.Module) -> None:
    """Copy weights that stand in the same order under other names; 1 x 1 convolutions may be linear layers."""
    own = read(backbone)
    assert [value.numel() for value in own] == [value.numel() for value in weights]
    for value, given in zip(own, weights, strict=True):
        value.copy_(given.view_as(value))


@torch.no_grad()
@pytest.mark.parametrize(("name", "options", "theirs", "channels"), BACKBONES, ids=[each[0] for each in BACKBONES])
def test_the_mask_stands_where_the_published_one_does(name, options, theirs, channels):
    torch.manual_seed(0)
    expected = published(theirs).eval()
    for parameter in expected.parameters():
        if parameter.ndim == 1 or parameter.numel() == parameter.shape[0]:  # gains, offsets, layer scales
            parameter.add_(0.1 * torch.randn_like(parameter))
    backbone = timm.create_model(name, num_classes=0, **options).eval()
    lend(read(expected), backbone)
    model, images = ErsmModel(backbone, num_classes=2, mask=EnergyMask(channels)).eval(), torch.randn(1, 3, 64, 64)
    features = expected(images)

    assert features.shape == (1, channels, 2, 2)
    torch.testing.assert_close(model.features(images) / features.std(), features / features.std(), rtol=1e-4, atol=1e-4)
