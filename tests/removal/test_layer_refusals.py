"""What has no rule of layer masking is refused by its name, never passed over."""

import pytest
import torch
from torch.nn import functional

from xai_bench.errors import UnsupportedError
from xai_bench.removal.layer_rules import rules
from xai_bench.removal.partly_visible import PartlyVisible


def random() -> PartlyVisible:
    torch.manual_seed(0)
    mask = (torch.rand(2, 1, 9, 9) > 0.6).float()
    return PartlyVisible(torch.randn(2, 4, 9, 9) * mask, mask, rules("neighbour"))


WITHOUT_RULE = {
    "batch norm by the statistics": lambda x: functional.batch_norm(x, None, None, training=True),
    "group norm of features laid byxc": lambda x: functional.group_norm(x.permute(0, 2, 3, 1), 3),
    "adaptive pooling of features laid byxc": lambda x: functional.adaptive_avg_pool2d(x.permute(0, 2, 3, 1), 1),
    "softmax over positions": lambda x: x.softmax(-1),
    "matmul": lambda x: x @ x,
    "interpolation of mode 'bilinear'": lambda x: functional.interpolate(x, scale_factor=2.0, mode="bilinear"),
    "a mean over dimensions None": lambda x: x.mean(),
    "a sum over dimensions": lambda x: x.sum((2, 3)),
    "a norm of order 1": lambda x: x.norm(p=1, dim=(2, 3)),
    "an unbiased variance": lambda x: x.var((2, 3)),
    "a reshape from .* to .2, 4, 81": lambda x: x.flatten(2),
    "a reshape from .* to .8, 9, 9": lambda x: x.flatten(0, 1),
    "a reshape from .* to .1, 8, 9, 9": lambda x: x.reshape(1, 8, 9, 9),
    "a permutation": lambda x: x.permute(1, 0, 2, 3),
    "a dimension before the batch": lambda x: x.unsqueeze(0),
    "stack along the batch": lambda x: torch.stack([x, x]),
    "cat along dimension 2": lambda x: torch.cat([x, x], 2),
    "cat along dimension 1": lambda x: torch.cat([x, torch.ones(2, 1, 9, 9)], 1),
    "others laid byxc": lambda x: x + x.permute(0, 2, 3, 1),
    "linear over positions": lambda x: functional.linear(x, torch.ones(3, 9)),
    "layer_norm over positions": lambda x: functional.layer_norm(x, (9,)),
    "layer_norm over .*positions": lambda x: functional.layer_norm(x, (4, 9, 9)),
    "max_pool2d_with_indices": lambda x: functional.max_pool2d(x, 2, return_indices=True),
    "a window over": lambda x: functional.max_pool2d(x.permute(0, 2, 3, 1), 2),
    "features in the place of a parameter": lambda x: functional.conv2d(torch.ones(2, 4, 9, 9), x),
    "features that are expanded": lambda x: x.mean(1, keepdim=True).expand_as(x),
    "split along dimension 2": lambda x: x.split(3, 2),
    "unbind along dimension 2": lambda x: x.unbind(2),
    "add": lambda x: torch.ones(2, 4, 9, 9).add_(x),
    "__get__": lambda x: x.data,
    "features indexed by 0": lambda x: x[0],
    "features indexed by .*3": lambda x: x[:, :, 3],
    "features indexed by .*tensor": lambda x: x[:, torch.tensor([0])],
    "bool": bool,
}


@pytest.mark.parametrize("what", WITHOUT_RULE)
def test_a_function_without_a_rule_is_refused(what):
    with pytest.raises(UnsupportedError, match=rf"^layer masking has no rule for .*{what}"):
        WITHOUT_RULE[what](random())


def test_a_function_that_goes_round_the_rules_finds_nothing_to_work_on():
    x = random()
    with torch._C.DisableTorchFunctionSubclass(), pytest.raises(UnsupportedError, match=r"aten\.relu"):
        functional.relu(x)
