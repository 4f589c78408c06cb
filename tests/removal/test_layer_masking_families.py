"""Layer masking over timm's convolutional families: one small member for each vocabulary of layers."""

from functools import cache

import pytest
import timm
import torch
from torch import Tensor, nn

from xai_bench.adapters import Preprocessing, VisionModel
from xai_bench.removal import LayerMasking

PAPERS = {  # the families that must hold under every padding; VGG with a narrow head, which has most of its weights
    "resnet18": {},
    "mobilenetv2_100": {"pad_type": "same"},
    "test_efficientnet": {},
    "test_convnext": {},
    "densenet121": {},
    "regnety_002": {},
    "vgg11_bn": {"mlp_ratio": 0.01},
}
SIDES = {"inception_v3": 96}  # it needs 75 pixels; 64 for the others
FITS = (  # what is new in each to the ones before it
    "resnet10t",  # deep stem, average pooling in the shortcut
    "resnetv2_18",  # activation before convolution
    "test_efficientnet_gn",  # group norm
    "test_efficientnet_evos",  # variance of groups of channels
    "ecaresnet26t",  # a gate that is expanded
    "res2net50_14w_8s",  # groups of channels in sequence
    "resnest14d",  # attention over the radix
    "skresnet18",  # attention over stacked paths
    "cs3darknet_focus_s",  # cross stages
    "dla46_c",  # trees that are joined
    "dpn48b",  # slices of channels
    "densenetblur121d",  # blurred pooling
    "tf_mobilenetv3_small_100",  # TensorFlow's `same`
    "mobilenetv4_conv_small",  # inverted bottlenecks with two depthwise convolutions
    "mixnet_s",  # kernels of several sizes
    "ghostnet_050",  # features made twice
    "ghostnetv2_100",  # a gate enlarged from half the size
    "fbnetc_100",
    "lcnet_035",
    "regnetz_005",
    "nf_regnet_b0",  # weight standardisation, no norm
    "repvgg_a0",  # several kernels at once
    "mobileone_s0",
    "rexnet_100",  # shortcuts for a part of the channels
    "inception_v3",  # branches of different reach
    "hrnet_w18_small",  # enlarging
    "hgnetv2_b0",  # padding to one side
    "selecsls42",
    "ese_vovnet19b_slim",
    "test_convnext",  # layer norm over channels, linear layers
    "convnextv2_atto",  # global response normalisation
    "convnext_zepto_rms",  # a norm by variance, without a mean
    "poolformerv2_s12",  # pooling as a mixer
    "inception_next_atto",
    "starnet_s050",  # products of branches
    "fasternet_t0",  # convolution of a part of the channels
    "test_mambaout",  # gated convolution
    "repghostnet_050",
)
REFUSED = {
    "mobilenetv4_hybrid_medium": "MultiQueryAttention2d",
    "edgenext_xx_small": "SplitTransposeBlock",
    "fastvit_sa12": "Attention",
    "efficientvit_b0": "LiteMLA",
    "mobilevit_xxs": "MobileVitBlock",
    "gcresnext26ts": "GlobalContext",
    "lambda_resnet26t": "LambdaLayer",
    "tf_efficientnet_cc_b0_4e": "CondConv2d",
}


@cache
def family(name: str, side: int) -> VisionModel:
    torch.manual_seed(0)
    module = timm.create_model(name, num_classes=10, **PAPERS.get(name, {}))
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None
            nn.init.normal_(norm.bias, 0, 0.3)
    with torch.no_grad():
        module.train()(torch.randn(2, 3, side, side))
    return VisionModel(
        module.eval(), name=name, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), preprocessing=Preprocessing((side, side))
    )


@torch.inference_mode()
def seen(model: VisionModel, images: Tensor, keep: Tensor, padding: str = "neighbour") -> Tensor:
    return LayerMasking(padding).see(model, images, keep, None)


@pytest.mark.parametrize("padding", ["neighbour", "none", "partial"])
@pytest.mark.parametrize("name", PAPERS)
def test_no_padding_lets_anything_through_or_alters_a_visible_image(name, padding):
    """One image under a grid of cells, one under single pixels; hidden pixels become huge, then not finite."""
    model, noise = family(name, 49), torch.Generator().manual_seed(4)
    images, keep = torch.rand(2, 3, 49, 49, generator=noise), torch.zeros(2, 49, 49)
    keep[0] = (torch.rand(7, 7, generator=noise) > 0.6).float().kron(torch.ones(7, 7))
    keep[1] = (torch.rand(49, 49, generator=noise) > 0.5).float()
    plain, expected = model(images), seen(model, images, keep, padding)
    others = (1e3 * torch.randn(2, 3, 49, 49, generator=noise), torch.tensor(torch.nan))
    full = seen(model, images, torch.ones_like(keep), padding)

    torch.testing.assert_close(full, plain, rtol=0, atol=1e-6 * plain.abs().max().item())
    for other in others:
        masked = seen(model, torch.where(keep[:, None] == 1, images, other), keep, padding)
        torch.testing.assert_close(masked, expected, rtol=0, atol=1e-6 * expected.abs().max().item())


@pytest.mark.parametrize("name", FITS)
def test_a_family_is_exact_where_all_is_visible_and_deaf_to_what_is_hidden(name):
    side = SIDES.get(name, 64)
    model, noise = family(name, side), torch.Generator().manual_seed(1)
    images = torch.rand(2, 3, side, side, generator=noise)
    keep = (torch.rand(2, 8, 8, generator=noise) > 0.6).float().kron(torch.ones(1, side // 8, side // 8))
    others = torch.where(keep[:, None] == 1, images, 1e3)
    plain, masked = model(images), seen(model, images, keep)
    scale = plain.abs().max().item()

    torch.testing.assert_close(seen(model, images, torch.ones_like(keep)), plain, rtol=0, atol=1e-6 * scale)
    torch.testing.assert_close(seen(model, others, keep), masked, rtol=0, atol=1e-6 * masked.abs().max().item())
    assert (masked - plain).abs().max() > 1e-3 * scale


@pytest.mark.parametrize("name", REFUSED)
def test_a_family_that_mixes_all_positions_or_images_is_refused_with_the_layer(name):
    module = timm.create_model(name, num_classes=10).eval()
    model = VisionModel(module, name=name, mean=(0.5,) * 3, std=(0.5,) * 3, preprocessing=Preprocessing((64, 64)))

    assert f"({REFUSED[name]}) of model" in LayerMasking().unfit(model)
