"""Target layers: the oracle is a bright square. It must change the activations in its own quadrant, and the logits
must depend on every cell. Layer names of the named families are written down by hand from their papers' stages."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import pytest
import timm
import torch
from torch import Tensor, nn

from xai_bench.adapters.layers import Layout, TargetLayer, check_layer_name, find_layer, layer_named
from xai_bench.errors import InvalidValueError, UnknownNameError, UnsupportedError
from xai_bench.ersm import EnergyMask, ErsmModel

QUADRANTS = ((0, 1), (1, 0))  # off the diagonal: a transposed grid puts each into the other


class Case(NamedTuple):
    name: str
    layer: str
    cells: int  # rows and columns of the grid: input size / stride, by hand
    options: tuple[tuple[str, object], ...] = ()
    size: int = 0  # 0: the size of timm's record


TINY_SWIN = (("depths", (1, 1, 1, 1)), ("embed_dim", 32), ("num_heads", (1, 2, 4, 8)))
CASES = (
    Case("test_resnet", "layer4", 5),
    Case("test_resnet", "layer4", 8, (("output_stride", 8),), size=64),
    Case("resnet10t", "layer4", 6),
    Case("resnet18", "layer4", 7),
    Case("resnet50", "layer4", 4, size=128),
    Case("resnetv2_18", "stages.3", 7),
    Case("resnext26ts", "final_conv", 8),
    Case("resnext50_32x4d", "layer4", 4, size=128),
    Case("seresnext26d_32x4d", "layer4", 4, size=128),
    Case("test_convnext", "stages.3", 5),
    Case("test_convnext2", "stages.3", 5),
    Case("test_convnext3", "stages.3", 5),
    Case("convnext_atto", "stages.3", 7),
    Case("convnextv2_atto", "stages.3", 7),
    Case("test_efficientnet", "blocks.4", 5),
    Case("efficientnet_b0", "blocks.6", 7),
    Case("efficientnet_lite0", "blocks.6", 7),
    Case("tf_efficientnetv2_b0", "blocks.5", 6),
    Case("mobilenetv1_100", "blocks.4", 7),
    Case("mobilenetv2_050", "blocks.6", 7),
    Case("mobilenetv2_100", "blocks.6", 7, (("pad_type", "same"),)),
    Case("mobilenetv3_small_050", "blocks.5", 7),
    Case("mobilenetv3_large_100", "blocks.6", 7),
    Case("densenet121", "features.norm5", 7),
    Case("regnetx_002", "s4", 7),
    Case("regnety_002", "s4", 7),
    Case("vgg11", "features.20", 7, (("mlp_ratio", 1 / 64),)),
    Case("vgg13_bn", "features.34", 7, (("mlp_ratio", 1 / 64),)),
    Case("test_vit", "blocks.5.norm1", 10),  # class token
    Case("test_vit2", "blocks.7", 10),  # class token in the blocks, patches pooled
    Case("test_vit3", "blocks.8", 10),
    Case("test_vit4", "blocks.8", 10),
    Case("test_vit_relpos", "blocks.8", 10),  # no class token
    Case("vit_tiny_patch16_224", "blocks.11.norm1", 14),
    Case("vit_wee_patch16_reg1_gap_256", "blocks.13", 16),  # a register
    Case("vit_tiny_patch16_224", "blocks.11.norm1", 14, (("reg_tokens", 4),)),
    Case("vit_tiny_patch16_224", "blocks.11", 14, (("global_pool", "avg"),)),
    Case("vit_tiny_patch16_224", "blocks.11.norm1", 8, (("dynamic_img_size", True),), size=128),
    Case("deit_tiny_patch16_224", "blocks.11.norm1", 14),
    Case("deit_tiny_distilled_patch16_224", "blocks.11.norm1", 14),
    Case("eva02_tiny_patch14_224", "blocks.11", 16),
    Case("swin_tiny_patch4_window7_224", "layers.3", 7, TINY_SWIN),
    Case("swin_s3_tiny_224", "layers.3", 7, TINY_SWIN),
    Case("swinv2_tiny_window8_256", "layers.3", 8, TINY_SWIN),
    Case("test_maxvit", "stages.3", 5),
    Case("test_coatnet", "stages.3", 5),
    Case("test_byobnet", "final_conv", 5),
    Case("test_nfnet", "final_conv", 5),
    Case("pit_ti_distilled_224", "transformers.2.blocks.3.norm1", 7),
    Case("convit_tiny", "blocks.11.norm1", 14),  # the class token joins late
    Case("cait_xxs24_224", "blocks.1", 14, (("depth", 2),)),
    Case("crossvit_tiny_240", "blocks.2.blocks.1", 14),  # two branches of tokens
    Case("tnt_s_legacy_patch16_224", "blocks.1.norm_out", 14, (("depth", 2),)),  # blocks return pairs
    Case("xcit_nano_12_p8_224", "cls_attn_blocks.1.norm1", 28),
)


class Seen(NamedTuple):
    layer: str
    grid: tuple[int, ...]
    centres: tuple[tuple[float, float], ...]  # (y, x) in [0, 1] of the change, per quadrant
    live: float  # share of cells on which a logit depends


def labelled(case: Case) -> str:
    return "-".join([case.name, *(str(key) for key, _ in case.options), *([str(case.size)] * bool(case.size))])


def activation(module: nn.Module, name: str, images: Tensor) -> tuple[Tensor, Tensor]:
    outputs: list[Tensor] = []
    hook = module.get_submodule(name).register_forward_hook(lambda _m, _i, out: outputs.append(out))
    logits = module(images)
    hook.remove()
    return outputs[-1], logits


def with_square(images: Tensor, row: int, column: int) -> Tensor:
    """A bright square of a quarter of the side in the middle of a quadrant."""
    bright, half = images.clone(), images.shape[-1] // 2
    top, left, side = row * half + half // 4, column * half + half // 4, half // 2
    bright[:, :, top : top + side, left : left + side] = 3.0
    return bright


def centre(weights: Tensor) -> tuple[float, float]:
    rows, columns = weights.shape
    share = weights / weights.sum()
    y, x = (torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns
    return float(share.sum(1) @ y), float(share.sum(0) @ x)


def seen_by(module: nn.Module, target: TargetLayer, size: int) -> Seen:
    images = torch.rand(4, 3, size, size, generator=torch.Generator().manual_seed(0)) - 0.5
    with torch.no_grad():
        plain = target.grid(activation(module, target.name, images)[0])
        squares = (activation(module, target.name, with_square(images, *quadrant))[0] for quadrant in QUADRANTS)
        centres = tuple(centre((target.grid(out) - plain).abs().sum(1).mean(0)) for out in squares)
    output, logits = activation(module, target.name, images[:1].requires_grad_())
    (gradient,) = torch.autograd.grad(logits[0, 0], output)
    live = (target.grid(gradient).abs().sum(1) > 0).float().mean().item()
    return Seen(target.name, tuple(plain.shape), centres, live)


@cache
def seen(case: Case) -> Seen:
    torch.manual_seed(0)
    module = timm.create_model(case.name, pretrained=False, num_classes=10, **dict(case.options)).eval()
    size = case.size or module.pretrained_cfg["input_size"][-1]
    return seen_by(module, find_layer(module, torch.zeros(1, 3, size, size)), size)


def in_their_quadrants(centres: tuple[tuple[float, float], ...]) -> bool:
    (y0, x0), (y1, x1) = centres
    return y0 < 0.49 < 0.51 < x0 and x1 < 0.49 < 0.51 < y1


@pytest.mark.parametrize("case", CASES, ids=labelled)
def test_the_layer_is_the_last_stage_and_its_grid_has_the_size_of_the_stride(case: Case) -> None:
    found = seen(case)

    assert (found.layer, found.grid[2:]) == (case.layer, (case.cells, case.cells))


@pytest.mark.parametrize("case", CASES, ids=labelled)
def test_a_bright_square_changes_the_grid_in_its_own_quadrant(case: Case) -> None:
    assert in_their_quadrants(seen(case).centres)


@pytest.mark.parametrize("case", CASES, ids=labelled)
def test_a_logit_depends_on_every_cell(case: Case) -> None:
    assert seen(case).live == 1.0


def test_the_list_of_models_covers_at_least_forty_names() -> None:
    assert len({case.name for case in CASES}) >= 40


@pytest.mark.parametrize("fault", ["transposed", "read as channels first", "prefix not dropped"])
def test_the_oracle_catches_a_wrong_layout(fault: str) -> None:
    torch.manual_seed(0)
    if fault == "read as channels first":
        module, right = nn.Sequential(nn.Conv2d(3, 8, 8, 8), Permute(0, 2, 3, 1)), Layout("nhwc")
        wrong = Layout("nchw")
    else:
        module = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.Flatten(2), Permute(0, 2, 1), Prepend(36))
        right = Layout("tokens", 36, (8, 8))
        wrong = Layout("tokens", 0, (10, 10)) if fault == "prefix not dropped" else Transposed("tokens", 36, (8, 8))
    model, name = nn.Sequential(module, nn.Flatten(), nn.LazyLinear(2)).eval(), "0"

    assert in_their_quadrants(seen_by(model, TargetLayer(name, right), 64).centres)
    assert not in_their_quadrants(seen_by(model, TargetLayer(name, wrong), 64).centres)


class Permute(nn.Module):
    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(self.axes)


class Prepend(nn.Module):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.cat([tokens.new_zeros(len(tokens), self.count, tokens.shape[2]), tokens], 1)


class Transposed(Layout):
    def grid(self, activation: Tensor, sizes: Sequence[tuple[int, int]] = ()) -> Tensor:
        return super().grid(activation, sizes).mT


class PlainVit(nn.Module):
    """Blocks as torch has them, a class token, and no word about either."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        make = nn.TransformerEncoderLayer
        self.blocks = nn.Sequential(*(make(16, 2, 32, batch_first=True, norm_first=True) for _ in range(2)))
        self.head = nn.Linear(16, 4)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).mT
        return self.head(self.blocks(torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1))[:, 0])


def small_cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip


PROBE = torch.zeros(1, 3, 32, 32)


def test_a_plain_sequential_network_is_read_at_the_last_layer_before_pooling() -> None:
    assert find_layer(small_cnn(), PROBE) == TargetLayer("3", Layout("nchw"))


def test_a_transformer_that_declares_nothing_is_read_where_the_class_token_still_sees_the_patches() -> None:
    torch.manual_seed(0)

    expected = TargetLayer("blocks.1.norm1", Layout("tokens", 1, (4, 4)))

    assert find_layer(PlainVit(), PROBE) == expected


def test_a_transformer_with_a_zero_head_is_read_at_the_first_norm_of_its_last_block() -> None:
    module = timm.create_model("test_vit", num_classes=10)
    nn.init.zeros_(module.head.weight)

    assert find_layer(module, torch.zeros(1, 3, 160, 160)).name == "blocks.5.norm1"


def test_an_ersm_model_is_read_at_its_masked_features() -> None:
    backbone = timm.create_model("test_resnet", num_classes=0, output_stride=8)
    module = ErsmModel(backbone, num_classes=3, mask=EnergyMask(backbone.num_features))

    assert find_layer(module, torch.zeros(1, 3, 64, 64)) == TargetLayer("masked", Layout("nchw"))


def test_where_the_last_stage_has_one_cell_an_earlier_layer_is_found() -> None:
    module = timm.create_model("resnet18", num_classes=10)

    found = find_layer(module, PROBE)

    assert found.name.startswith("layer4") or found.name == "layer3"
    assert activation(module.eval(), found.name, PROBE)[0].shape[2:] == (2, 2)


@pytest.mark.parametrize(("name", "rows", "columns"), [("resnet18", 3, 5), ("test_vit", 6, 10)])
def test_an_image_that_is_not_square_gives_a_grid_that_is_not(name: str, rows: int, columns: int) -> None:
    options = {"img_size": (96, 160)} if name == "test_vit" else {}
    module = timm.create_model(name, num_classes=10, **options).eval()
    target = find_layer(module, torch.zeros(1, 3, 96, 160))

    assert target.grid(activation(module, target.name, torch.zeros(2, 3, 96, 160))[0]).shape[2:] == (rows, columns)


def test_tokens_are_read_by_rows_after_the_prefix() -> None:
    tokens = torch.tensor([[[9.0], [1.0], [2.0], [3.0], [4.0], [5.0], [6.0]]])

    expected = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])

    assert torch.equal(Layout("tokens", 1, (2, 3)).grid(tokens), expected)


def test_channels_last_are_moved_to_the_front() -> None:
    expected = torch.arange(12.0).reshape(1, 3, 2, 2)

    assert torch.equal(Layout("nhwc").grid(expected.permute(0, 2, 3, 1)), expected)


@pytest.mark.parametrize(("kind", "axis"), [("nchw", 1), ("nhwc", -1), ("tokens", -1)])
def test_the_channel_axis_is_that_of_the_layers_own_output(kind: str, axis: int) -> None:
    assert Layout(kind).channel_axis == axis


def test_tokens_of_another_image_size_are_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"expected 1 \+ \(2, 3\) tokens, got 10; is the image of another size"):
        Layout("tokens", 1, (2, 3)).grid(torch.zeros(1, 10, 4))


def test_a_layer_is_taken_by_name() -> None:
    module = timm.create_model("test_vit", num_classes=10)

    expected = TargetLayer("blocks.2.norm2", Layout("tokens", 1, (10, 10)))

    assert layer_named(module, "blocks.2.norm2", torch.zeros(1, 3, 160, 160)) == expected


def test_a_named_swin_layer_is_read_channels_last() -> None:
    module = timm.create_model("swin_tiny_patch4_window7_224", num_classes=10, **dict(TINY_SWIN))

    assert layer_named(module, "norm", torch.zeros(1, 3, 224, 224)).layout == Layout("nhwc")


def test_a_wrong_layer_name_is_answered_with_the_near_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown layer of ResNet 'layer5'; did you mean 'layer4' or"):
        check_layer_name(timm.create_model("test_resnet"), "layer5")


def test_a_layer_name_like_no_other_is_answered_with_the_outer_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown layer of Sequential 'zzz'; known: 0, 1, 2, 3, 4, 5, 6$"):
        layer_named(small_cnn(), "zzz", PROBE)


def test_a_layer_without_a_spatial_output_is_refused_with_its_shape() -> None:
    with pytest.raises(InvalidValueError, match=r"'6' of Sequential has no spatial .* 32 x 32: its shape is \(1, 2\);"):
        layer_named(small_cnn(), "6", PROBE)


def test_windows_are_not_taken_for_an_image() -> None:
    module = timm.create_model("swin_tiny_patch4_window7_224", num_classes=10, **dict(TINY_SWIN))

    with pytest.raises(InvalidValueError, match=r"no spatial output at 224 x 224: its shape is \(64, 49, 32\)"):
        layer_named(module, "layers.0.blocks.0.attn", torch.zeros(1, 3, 224, 224))


def test_a_layer_that_does_not_run_is_refused() -> None:
    module = small_cnn()
    module[0].spare = nn.Conv2d(3, 3, 1)

    with pytest.raises(InvalidValueError, match=r"layer '0.spare' of Sequential does not run in the forward pass"):
        layer_named(module, "0.spare", PROBE)


def test_a_model_without_a_spatial_layer_asks_for_a_name() -> None:
    with pytest.raises(UnsupportedError, match=r"no layer of Sequential has a spatial output at 32 x 32; name one by"):
        find_layer(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2)), PROBE)


class Breaks(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        raise ArithmeticError(f"{len(images)}")


def state(module: nn.Module) -> list[object]:
    return [(len(child._forward_hooks), child.training) for child in module.modules()] + [
        (parameter.requires_grad, parameter.grad) for parameter in module.parameters()
    ]


def test_the_module_is_left_as_found() -> None:
    module = small_cnn().train()
    module[1].eval()
    module[0].weight.requires_grad = False
    before, statistics = state(module), module[1].running_mean.clone()

    find_layer(module, PROBE)
    layer_named(module, "0", PROBE)

    assert state(module) == before
    assert torch.equal(module[1].running_mean, statistics)


@pytest.mark.parametrize("find", [find_layer, lambda module, probe: layer_named(module, "0", probe)])
def test_the_module_is_left_as_found_after_an_error(find: object) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), Breaks()).train()
    before = state(module)

    with pytest.raises(ArithmeticError):
        find(module, PROBE)  # type: ignore[operator]

    assert state(module) == before


def test_finding_works_inside_inference_mode() -> None:
    module = timm.create_model("test_vit").requires_grad_(False)

    with torch.inference_mode():
        found = find_layer(module, torch.zeros(1, 3, 160, 160))

    assert found.name == "blocks.5.norm1"
