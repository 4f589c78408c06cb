"""Features that are regrouped, cut or enlarged: the mask goes where they go."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from xai_bench.removal.layer_rules import rules
from xai_bench.removal.partly_visible import PartlyVisible

RULES = rules("none")


@pytest.fixture
def x() -> PartlyVisible:
    torch.manual_seed(0)
    mask = (torch.rand(2, 1, 8, 8) > 0.5).float()
    return PartlyVisible(torch.randn(2, 6, 8, 8) * mask, mask, RULES)


SAME_MASK = {
    "a shuffle of channels": lambda x: x.reshape(2, 2, 3, 8, 8).transpose(1, 2).reshape(2, 6, 8, 8),
    "a slice of channels": lambda x: x[:, 1:3],
    "a slice with dots": lambda x: x[:, ::2, ...],
    "groups, weighed and summed": lambda x: (x.view(2, 2, 3, 8, 8) * torch.arange(2.0).view(1, 2, 1, 1, 1)).sum(1),
    "two paths stacked and summed": lambda x: torch.stack([x, 2 * x], dim=1).sum(1),
    "one channel of a group": lambda x: x.unflatten(1, (2, 3))[:, 1],
    "unbound groups": lambda x: x.reshape(2, 2, 3, 8, 8).unbind(1)[1],
    "a dimension more and less": lambda x: x.unsqueeze(2).flatten(1, 2),
    "there and back": lambda x: x.permute(0, 2, 3, 1)[..., :2].permute(0, 3, 1, 2),
    "an expanded gate": lambda x: x * torch.rand(2, 6, 1, 1, generator=torch.Generator().manual_seed(0)).expand_as(x),
}


@pytest.mark.parametrize("name", SAME_MASK)
def test_what_moves_channels_leaves_the_mask(name, x):
    y = SAME_MASK[name](x)

    assert torch.equal(y.mask, x.mask)
    torch.testing.assert_close(y.value, SAME_MASK[name](x.value))


SAME_FOR_BOTH = {
    "a slice of positions": lambda x: x[:, :, 1:, 1:],
    "every other position": lambda x: x[..., ::2, 1::2],
    "enlarging": lambda x: functional.interpolate(x, scale_factor=2, mode="nearest"),
    "enlarging to a size": lambda x: functional.interpolate(x, size=(11, 13), mode="nearest"),
    "cutting": lambda x: functional.avg_pool2d(functional.pad(x, (-1, 0, -2, -1)), 1),
}


@pytest.mark.parametrize("name", SAME_FOR_BOTH)
def test_what_moves_positions_moves_the_mask_with_them(name, x):
    y = SAME_FOR_BOTH[name](x)

    assert torch.equal(y.mask, SAME_FOR_BOTH[name](x.mask))
    assert torch.equal(y.value, SAME_FOR_BOTH[name](x.value))


def space_to_depth(x: Tensor) -> Tensor:
    x = x.view(2, x.shape[1], 2, 4, 2, 4).permute(0, 3, 5, 1, 2, 4)
    return x.contiguous().view(2, -1, 2, 2)


def test_positions_that_become_channels_are_visible_where_any_of_them_was(x):
    mask = torch.zeros(2, 1, 8, 8)
    mask[0, 0, 5, 1] = mask[1, 0, :4, 4:] = 1
    y = space_to_depth(PartlyVisible(x.value * mask, mask, RULES))

    assert y.mask[:, 0].tolist() == [[[0, 0], [1, 0]], [[0, 1], [0, 0]]]
    assert torch.equal(y.value, space_to_depth(x.value * mask))


def test_features_of_one_position_flatten_to_ordinary_ones():
    x = PartlyVisible(torch.ones(1, 6, 1, 1), torch.ones(1, 1, 1, 1), RULES)

    assert type(x.view(1, 6)) is Tensor
    assert type(x.reshape(1, 2, 3, 1, 1)) is PartlyVisible
