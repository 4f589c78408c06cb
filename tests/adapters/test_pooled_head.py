"""The linear head that reads a mean over space is found by what it computes, not by its name."""

import pytest
import timm
import torch

from xai_bench.adapters.layers import find_layer, layer_named, pooled_head


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("test_resnet", "fc"),
        ("mobilenetv1_100", "classifier"),
        ("densenet121", "classifier"),
        ("test_efficientnet", ""),  # a convolution stands between its last stage and the pooling
        ("test_convnext", ""),  # a layer norm after the pooling
        ("test_vit2", ""),
    ],
)
def test_a_pooled_linear_head_is_found_by_what_it_computes(name, head):
    module, probe = timm.create_model(name, num_classes=3).eval(), torch.zeros(2, 3, 96, 96)
    if name == "test_vit2":
        probe = torch.zeros(2, 3, 160, 160)

    assert pooled_head(module, find_layer(module, probe), probe) == head


def test_no_head_reads_the_mean_of_an_earlier_layer():
    module, probe = timm.create_model("test_resnet", num_classes=3), torch.zeros(1, 3, 64, 64)

    assert pooled_head(module, layer_named(module, "layer3", probe), probe) == ""
