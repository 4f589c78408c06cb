"""Each rule of layer masking against numbers made on paper or by another route."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from xai_bench.errors import UnsupportedError
from xai_bench.removal.layer_rules import neighbour_padded, rules
from xai_bench.removal.partly_visible import PartlyVisible

RULES = rules("neighbour")


def partly(value: Tensor, mask: Tensor, padding: str = "neighbour") -> PartlyVisible:
    return PartlyVisible(value * mask, mask, rules(padding))


def random(batch: int = 2, channels: int = 4, side: int = 9, seed: int = 0) -> PartlyVisible:
    torch.manual_seed(seed)
    return partly(torch.randn(batch, channels, side, side), (torch.rand(batch, 1, side, side) > 0.6).float())


def full(x: PartlyVisible) -> PartlyVisible:
    return partly(torch.randn_like(x.value), torch.ones_like(x.mask))


# Neighbour padding


def test_a_hidden_cell_takes_the_mean_of_its_visible_neighbours_ring_after_ring():
    """The left column is known: 1, 2, 6. Middle: (1+2)/2, (1+2+6)/3, (2+6)/2; then right, from the middle alone."""
    value = torch.tensor([[1.0, 0, 0], [2, 0, 0], [6, 0, 0]])[None, None]
    mask = torch.tensor([[1.0, 0, 0]] * 3)[None, None]
    once = torch.tensor([[1, 1.5, 0], [2, 3, 0], [6, 4, 0]])[None, None]
    twice = torch.tensor([[1, 1.5, 2.25], [2, 3, 8.5 / 3], [6, 4, 3.5]])[None, None]

    torch.testing.assert_close(neighbour_padded(value, mask, 1), once, atol=1e-4, rtol=0)
    torch.testing.assert_close(neighbour_padded(value, mask, 2), twice, atol=1e-4, rtol=0)


def test_what_is_visible_stays_to_the_last_bit():
    x = random()
    visible = x.mask.expand_as(x.value) == 1

    assert torch.equal(neighbour_padded(x.value, x.mask, 3)[visible], x.value[visible])


def test_nothing_visible_is_filled_with_nothing():
    assert neighbour_padded(torch.zeros(1, 2, 5, 5), torch.zeros(1, 1, 5, 5), 3).abs().max() == 0


# Convolution


def test_one_visible_pixel_is_spread_before_a_sum_over_3_x_3():
    """Padding turns the lone 1 into a plane of ones, so that all nine outputs that reach it are 9; without it, 1."""
    value, mask = torch.zeros(1, 1, 7, 7), torch.zeros(1, 1, 7, 7)
    value[..., 3, 3] = mask[..., 3, 3] = 1
    reached = functional.pad(torch.ones(1, 1, 3, 3), (2, 2, 2, 2))
    weight = torch.ones(1, 1, 3, 3)
    padded = functional.conv2d(partly(value, mask), weight, padding=1)
    unpadded = functional.conv2d(partly(value, mask, "none"), weight, padding=1)

    torch.testing.assert_close(padded.value, 9 * reached, atol=1e-3, rtol=0)
    assert torch.equal(unpadded.value, reached)
    assert torch.equal(padded.mask, reached)


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        ((3, 3), {"padding": 1}),
        ((7, 7), {"stride": 2, "padding": 3}),
        ((3, 3), {"dilation": 2, "padding": 2}),
        ((3, 3), {"dilation": 2, "padding": "same"}),
        ((4, 4), {"padding": "same"}),
        ((1, 3), {"padding": (0, 1), "stride": (2, 1)}),
        ((1, 1), {"stride": 2}),
        ((2, 2), {"padding": "valid", "groups": 4}),
    ],
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_a_convolution_is_the_papers(kernel, options):
    """Its padding is repeated as often as the kernel is wide; its mask is where a convolution of ones reaches any."""
    x = random(side=11)
    weight = torch.randn(4, 4 // options.get("groups", 1), *kernel)
    bias = torch.randn(4)
    known = neighbour_padded(x.value, x.mask, kernel[1])
    reach = {name: value for name, value in options.items() if name != "groups"}
    mask = (functional.conv2d(x.mask, torch.ones(1, 1, *kernel), **reach) > 0.5).float()
    expected = functional.conv2d(known, weight, bias, **options) * mask
    y = functional.conv2d(x, weight, bias, **options)

    assert torch.equal(y.mask, mask)
    torch.testing.assert_close(y.value, expected, atol=1e-5, rtol=1e-5)


def test_zero_padding_made_by_a_layer_of_its_own_is_not_filled():
    """TF's `same`: pad, then convolve without padding, as Conv2dSame does."""
    x, weight = random(), torch.randn(5, 4, 3, 3)
    expected = functional.conv2d(x, weight, padding=1)
    y = functional.conv2d(functional.pad(x, (1, 1, 1, 1)), weight)

    assert torch.equal(y.mask, expected.mask)
    torch.testing.assert_close(y.value, expected.value, atol=1e-5, rtol=1e-5)


def test_padding_met_outside_a_window_is_refused():
    with pytest.raises(UnsupportedError, match="padded features outside a convolution or pooling"):
        functional.relu(functional.pad(random(), (1, 1, 1, 1)))


# Pooling


def test_max_pooling_passes_on_the_pooled_mask():
    value = torch.tensor([[3.0, -1, 0, 0], [2, -5, 0, 0]])[None, None]
    mask = torch.tensor([[1.0, 1, 0, 0], [1, 1, 0, 0]])[None, None]
    y = functional.max_pool2d(partly(value, mask), 2)

    assert y.value.flatten().tolist() == [3, 0]
    assert y.mask.flatten().tolist() == [1, 0]


def test_average_pooling_counts_hidden_cells_as_zero():
    """Of the first four cells three are visible: (4 + 2 + 6 + 0) / 4; of the others none."""
    value = torch.tensor([[4.0, 2, 9, 9], [6, 9, 9, 9]])[None, None]
    mask = torch.tensor([[1.0, 1, 0, 0], [1, 0, 0, 0]])[None, None]
    y = functional.avg_pool2d(partly(value, mask), 2)

    assert y.value.flatten().tolist() == [3, 0]
    assert y.mask.flatten().tolist() == [1, 0]


POOLS = [
    lambda x: x.mean((2, 3)),
    lambda x: torch.mean(x, dim=[-2, -1]),
    lambda x: x.mean((2, 3), keepdim=True).flatten(1),
    lambda x: functional.adaptive_avg_pool2d(x, 1).flatten(1),
    lambda x: x.permute(0, 2, 3, 1).mean((1, 2)),
]


@pytest.mark.parametrize("pool", POOLS)
def test_global_pooling_is_the_mean_over_visible_cells(pool):
    value = torch.tensor([[4.0, 2], [6, 9]]).expand(2, 1, 2, 2)
    mask = torch.tensor([[[1.0, 1], [1, 0]], [[0, 0], [0, 0]]])[:, None]
    y = pool(partly(value, mask))

    assert type(y) is Tensor
    torch.testing.assert_close(y, torch.tensor([[4.0], [0]]))


def test_global_pooling_of_nothing_is_zero_in_half_precision_too():
    x = PartlyVisible(torch.zeros(1, 2, 4, 4, dtype=torch.float16), torch.zeros(1, 1, 4, 4), RULES)

    assert x.mean((2, 3)).tolist() == [[0, 0]]


def test_adaptive_pooling_to_several_cells_averages_over_the_visible_part_of_each():
    value = torch.tensor([[4.0, 2, 9, 9], [6, 9, 9, 9]])[None, None]
    mask = torch.tensor([[1.0, 1, 0, 0], [1, 0, 0, 0]])[None, None]
    y = functional.adaptive_avg_pool2d(partly(value, mask), (1, 2))

    torch.testing.assert_close(y.value.flatten(), torch.tensor([4.0, 0]))
    assert y.mask.flatten().tolist() == [1, 0]


# Joining


@pytest.mark.parametrize("join", [lambda a, b: a + b, lambda a, b: torch.cat([a, b], 1), lambda a, b: a * b])
def test_branches_are_seen_where_both_are(join):
    a, b = random(seed=1), random(seed=2)
    y = join(a, b)
    mask = a.mask * b.mask

    assert torch.equal(y.mask, mask)
    torch.testing.assert_close(y.value, join(a.value, b.value) * mask)


def test_a_gate_scales_without_changing_the_mask():
    x, gate = random(), torch.rand(2, 4, 1, 1)

    for y in (x * gate, gate * x, x.mul(gate)):
        assert torch.equal(y.mask, x.mask)
        torch.testing.assert_close(y.value, x.value * gate)


def test_adding_in_place_is_seen_by_all_who_hold_the_features():
    x = random()
    held, expected = x, (x.value + 1) * x.mask
    x += 1

    assert held is x
    torch.testing.assert_close(held.value, expected)


def test_an_activation_in_place_is_seen_by_all_who_hold_the_features():
    x = random()
    expected = x.value.relu()
    nn.ReLU(inplace=True)(x)

    assert torch.equal(x.value, expected)


# Position by position

LAYERS = [
    nn.BatchNorm2d(4), nn.ReLU(), nn.ReLU6(), nn.SiLU(), nn.GELU(), nn.Sigmoid(), nn.Hardswish(), nn.Hardsigmoid(),
    nn.Hardtanh(0.5, 2.0), nn.PReLU(), nn.Dropout(), nn.Identity(),
]  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_a_layer_that_works_position_by_position_leaves_hidden_ones_zero(layer):
    x, layer = random(), layer.eval()
    if isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.bias)
    with torch.no_grad():
        y = layer(x)
        expected = layer(x.value) * x.mask

    assert torch.equal(y.mask, x.mask)
    assert torch.equal(y.value, expected)


def test_layers_over_the_last_dimension_work_on_channels():
    x, norm, linear = random(), nn.LayerNorm(4), nn.Linear(4, 6)
    nn.init.normal_(norm.bias)
    y = linear(norm(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
    expected = (linear(norm(x.value.permute(0, 2, 3, 1)) * x.mask[:, 0, ..., None])).permute(0, 3, 1, 2) * x.mask

    torch.testing.assert_close(y.value, expected)
    assert torch.equal(y.mask, x.mask)


def test_groups_of_channels_keep_the_mask():
    first, second = random().chunk(2, dim=1)

    assert torch.equal(first.mask, second.mask)
    assert torch.equal(torch.cat([first.value, second.value], 1), random().value)


def test_flattened_features_are_zero_where_hidden():
    x = random()

    assert torch.equal(torch.flatten(x, 1), x.value.flatten(1))
    assert torch.equal(x.view(2, -1), x.value.flatten(1))


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if not isinstance(layer, nn.Hardtanh)], ids=repr)
def test_with_everything_visible_a_layer_gives_what_it_gives(layer):
    x = full(random())
    with torch.no_grad():
        expected = layer.eval()(x.value)

        assert torch.equal(layer(x).value, expected)
