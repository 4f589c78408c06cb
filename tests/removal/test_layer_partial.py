"""Partial padding, and windows that meet nothing but a border."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from xai_bench.removal.layer_rules import rules
from xai_bench.removal.partly_visible import PartlyVisible

KERNELS = [
    ((3, 3), {"padding": 1}),
    ((5, 5), {"stride": 2, "padding": 2}),
    ((3, 3), {"dilation": 2, "padding": 2}),
    ((3, 3), {"dilation": 2, "padding": "same"}),
    ((1, 3), {"padding": (0, 1), "stride": (2, 1)}),
    ((1, 1), {"stride": 2}),
    ((2, 2), {"padding": "valid", "groups": 4}),
]


def partly(value: Tensor, mask: Tensor, padding: str = "partial") -> PartlyVisible:
    return PartlyVisible(value * mask, mask, rules(padding))


def random(share: float = 0.5) -> PartlyVisible:
    torch.manual_seed(0)
    return partly(torch.randn(2, 4, 11, 11), (torch.rand(2, 1, 11, 11) < share).float())


def test_a_sum_over_visible_cells_grows_to_that_of_the_whole_window_and_the_bias_does_not():
    """Of the 9 ones 3 are visible: 3 / (1/3) + 2 = 11. At the corner the window has 4 cells, 2 of them visible: 6."""
    mask = torch.tensor([[1.0, 0, 0], [1, 0, 0], [1, 0, 0]])[None, None]
    x = partly(torch.ones(1, 1, 3, 3), mask)
    y = functional.conv2d(x, torch.ones(1, 1, 3, 3), torch.tensor([2.0]), padding=1)

    torch.testing.assert_close(y.value[0, 0, :, :2], torch.tensor([[6.0, 8], [8, 11], [6, 8]]))
    assert y.value[..., 2].abs().max() == 0


@pytest.mark.parametrize(("kernel", "options"), KERNELS)
def test_partial_padding_is_the_formula_away_from_zero_padding(kernel, options):
    """y / c + b (1 - 1/c), c = the mask under a mean kernel; c counts only what is not zero padding."""
    x, weight, bias = random(), torch.randn(4, 4 // options.get("groups", 1), *kernel), torch.randn(4)
    reach = {name: value for name, value in options.items() if name != "groups"}
    mean = torch.full((1, 1, *kernel), 1 / (kernel[0] * kernel[1]))
    c = functional.conv2d(x.mask, mean, **reach) / functional.conv2d(torch.ones_like(x.mask), mean, **reach)
    plain = functional.conv2d(x.value, weight, bias, **options)
    expected = torch.where(c > 0, plain / c + bias[:, None, None] * (1 - 1 / c), 0)

    torch.testing.assert_close(functional.conv2d(x, weight, bias, **options).value, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("kernel", "options"), KERNELS)
def test_a_wholly_visible_map_is_convolved_as_ever_to_the_last_bit(kernel, options):
    x, weight, bias = random(2.0), torch.randn(4, 4 // options.get("groups", 1), *kernel), torch.randn(4)
    expected = functional.conv2d(x.value, weight, bias, **options)

    assert torch.equal(functional.conv2d(x, weight, bias, **options).value, expected)


def test_zero_padding_by_a_layer_of_its_own_is_no_hidden_part():
    x, weight, bias = random(), torch.randn(4, 4, 3, 3), torch.randn(4)
    expected = functional.conv2d(x, weight, bias, padding=1)
    y = functional.conv2d(functional.pad(x, (1, 1, 1, 1)), weight, bias)

    torch.testing.assert_close(y.value, expected.value, atol=1e-5, rtol=1e-5)
    assert torch.equal(y.mask, expected.mask)


# Windows over nothing but border


@pytest.mark.parametrize("window", [
    lambda x: functional.avg_pool2d(x, 1, 2),
    lambda x: functional.max_pool2d(x, 1, 2),
    lambda x: functional.conv2d(x, torch.ones(1, 1, 1, 1), stride=2),
])  # fmt: skip
def test_a_window_over_border_alone_is_visible_where_its_nearest_position_is(window):
    """NASNet's shifted path: the first row and column are cut off, a zero row and column added at the other end."""
    value = torch.arange(9.0).view(1, 1, 3, 3)
    mask = torch.ones(1, 1, 3, 3)
    mask[..., 2, 2] = 0
    shifted = functional.pad(partly(value, mask), (-1, 1, -1, 1))
    y = window(shifted)

    assert y.mask[0, 0].tolist() == [[1, 1], [1, 0]]
    assert y.value[0, 0].tolist() == [[4, 0], [0, 0]]
