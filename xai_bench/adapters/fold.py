"""Batch normalisation folded into the convolution before it: the same function in fewer passes over memory."""

import copy
import warnings

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import fx, nn
from torch.fx.experimental.optimization import fuse

from xai_bench.ersm import EnergyMask

TOLERANCE = 1e-5  # of the largest output; folding rounds once more, measured 1e-7


def folded(module: nn.Module, example: torch.Tensor) -> nn.Module:
    """A copy in which torch's fusion pass has folded what it can; the module itself where that changes the example.

    A module that torch.fx cannot trace, such as one whose forward pass branches on values, stays as it is.
    """
    if not any(isinstance(part, nn.BatchNorm2d) for part in module.modules()):
        return module
    try:
        with warnings.catch_warnings():  # tracing warns of modules that branch on shapes, and the example decides
            warnings.simplefilter("ignore")
            faster: nn.Module = fuse(_traced(_spelled_out(copy.deepcopy(module))), no_trace=True)
        with torch.inference_mode():
            before, after = module(example), faster(example)
    except Exception:  # noqa: BLE001 - tracing fails with whatever the model's own code raises
        return module
    scale = before.abs().max().item()
    return faster if torch.allclose(before, after, rtol=0, atol=TOLERANCE * scale) else module


class _Tracer(fx.Tracer):
    """Leaves an energy mask whole: it refuses wrong shapes, and a trace knows none."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, EnergyMask) or super().is_leaf_module(m, module_qualified_name)


def _traced(module: nn.Module) -> fx.GraphModule:
    return fx.GraphModule(module, _Tracer().trace(module))


def _spelled_out(module: nn.Module) -> nn.Module:
    """Batch normalisation with an activation inside, as timm has it, as the two layers that the fusion pass knows."""
    for name, part in module.named_children():
        if type(part) is BatchNormAct2d:
            setattr(module, name, nn.Sequential(_bare(part), part.drop, part.act))
        else:
            _spelled_out(part)
    return module


def _bare(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    bare = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    bare.load_state_dict(norm.state_dict())
    return bare.to(next(iter(norm.buffers())).device).eval()
