"""Statistics of features over what is visible: whatever stands in hidden cells, and however many there are."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from xai_bench.removal.layer_rules import rules
from xai_bench.removal.partly_visible import PartlyVisible

RULES = rules("none")


def partly(value: Tensor, mask: Tensor) -> PartlyVisible:
    return PartlyVisible(value * mask, mask, RULES)


@pytest.fixture
def left() -> PartlyVisible:
    """The three left columns of five are visible, so that they can also be cut out and looked at alone."""
    torch.manual_seed(0)
    mask = torch.zeros(2, 1, 4, 5)
    mask[..., :3] = 1
    return partly(torch.randn(2, 6, 4, 5), mask)


def cut(x: PartlyVisible) -> Tensor:
    return x.value[..., :3]


NORMS = {
    "group": nn.GroupNorm(3, 6),
    "one group": nn.GroupNorm(1, 6),
    "instance": nn.InstanceNorm2d(6, affine=True),
}


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_sees_only_what_is_visible(name, left):
    norm = NORMS[name].requires_grad_(requires_grad=False)
    nn.init.normal_(norm.bias)
    y = norm(left)

    torch.testing.assert_close(cut(y), norm(cut(left)), atol=1e-5, rtol=1e-5)
    assert y.value[..., 3:].abs().max() == 0


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_of_a_wholly_visible_map_is_torchs_to_the_last_bit_whatever_stands_beside_it(name, left):
    norm = NORMS[name].requires_grad_(requires_grad=False)
    mask = left.mask.clone()
    mask[0] = 1
    x = partly(torch.randn(2, 6, 4, 5), mask)

    assert torch.equal(norm(x).value[0], norm(x.value[:1])[0])


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_of_nothing_is_nothing(name):
    y = NORMS[name](partly(torch.randn(1, 6, 4, 5), torch.zeros(1, 1, 4, 5)))

    assert y.value.abs().max() == 0


POOLS = {
    "mean": lambda x: x.mean((2, 3)),
    "variance": lambda x: x.var(dim=(2, 3), unbiased=False),
    "variance of groups": lambda x: x.reshape(2, 2, 3, *x.shape[2:]).var(dim=(2, 3, 4), correction=0),
    "maximum": lambda x: x.amax((2, 3)),
    "adaptive maximum": lambda x: functional.adaptive_max_pool2d(x, 1).flatten(1),
    "norm": lambda x: x.norm(p=2, dim=(2, 3)),
    "root mean square": lambda x: x.square().mean((2, 3)).sqrt(),
}


@pytest.mark.parametrize("name", POOLS)
def test_a_pool_over_positions_gives_ordinary_features_of_what_is_visible(name, left):
    left.value -= 5 * left.mask  # below zero, so that a zero in a hidden cell would win a maximum
    y = POOLS[name](left)

    assert type(y) is Tensor
    torch.testing.assert_close(y, POOLS[name](cut(left)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", POOLS)
def test_a_pool_over_nothing_is_zero(name):
    assert POOLS[name](partly(torch.randn(2, 6, 4, 5), torch.zeros(2, 1, 4, 5))).abs().max() == 0


OVER_CHANNELS = {
    "mean": lambda x: x.mean(1, keepdim=True),
    "variance": lambda x: torch.var(x, dim=1, unbiased=False, keepdim=True),
    "maximum": lambda x: x.amax(dim=1, keepdim=True),
    "sum": lambda x: x.sum(1, keepdim=True),
    "norm": lambda x: x.norm(dim=1, keepdim=True),
    "inverse root mean square": lambda x: x * torch.rsqrt(x.pow(2).mean(1, keepdim=True)),
    "softmax": lambda x: x.softmax(1),
}


@pytest.mark.parametrize("name", OVER_CHANNELS)
def test_what_reduces_channels_keeps_the_mask(name, left):
    y = OVER_CHANNELS[name](left)

    assert torch.equal(y.mask, left.mask)
    torch.testing.assert_close(cut(y), OVER_CHANNELS[name](cut(left)))
    assert y.value[..., 3:].abs().max() == 0


def test_division_by_a_gate_or_by_features_leaves_hidden_cells_zero(left):
    by_gate, by_features = left / torch.full((2, 6, 1, 1), 2.0), left / (left * left)

    assert torch.equal(by_gate.value, left.value / 2)
    torch.testing.assert_close(cut(by_features), 1 / cut(left), rtol=1e-4, atol=1e-4)
    assert by_features.value[..., 3:].abs().max() == 0
