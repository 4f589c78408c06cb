"""Small models of this room, with random weights that have opinions."""

import torch

from xai_bench.adapters import load_model
from xai_bench.intrinsic import HinderedTransformer

SMALL = {"patch_size": 4, "dim": 16, "depths": (2, 1), "heads": 2}


def hindered(*, seed=0, size=(16, 24), **changed):
    """Norms, biases and heads drawn too, so that no term of the sum is 0 or 1."""
    torch.manual_seed(seed)
    module = HinderedTransformer(num_classes=5, img_size=size, **(SMALL | changed))
    for part in module.modules():
        if isinstance(part, torch.nn.LayerNorm | torch.nn.Linear):
            torch.nn.init.normal_(part.weight, std=0.5)
            torch.nn.init.normal_(part.bias, std=0.5)
    return module.eval()


def pictures(count=3, size=(16, 24), seed=1):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def comet(**options):
    torch.manual_seed(0)
    return load_model("comet:test_resnet", pretrained=False, num_classes=4, input_size=64, selector_width=2, **options)
