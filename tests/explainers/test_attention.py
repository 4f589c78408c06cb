"""Attention explainers: values known on paper, straight-line evaluations on unfused attention, which models they cover."""

import math

import numpy as np
import pytest
import torch
from explainer_models import noise, pictures
from PIL import Image
from torch.nn import functional
from torch.overrides import _len_torch_function_stack

from xai_bench.adapters import load_model
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.explainers import EXPLAINERS, explain
from xai_bench.explainers.attention import (
    ATTENTION,
    GMAR,
    GradientRollout,
    RawAttention,
    Rollout,
    TransformerAttribution,
)
from xai_bench.explainers.attention.passed import passed
from xai_bench.explainers.recorder import recorded

VARIANTS = [
    RawAttention(),
    Rollout(),
    Rollout(heads="max"),
    Rollout(heads="min", discard=0.4),
    GradientRollout(),
    GradientRollout(rule="vit_explain"),
    GMAR(),
    GMAR(norm="L2"),
    GMAR(rule="gmar_plus"),
]
SHARPER = 8  # random queries and keys are so small that all attention is nearly the same


def small(name="test_vit", sharper=True, input_size=64, **factory):
    torch.manual_seed(0)
    model = load_model(
        f"timm:{name}", pretrained=False, num_classes=5, input_size=input_size, device="cpu", **factory
    )
    if sharper:
        with torch.no_grad():
            for key, value in model.module.named_parameters():
                if key.endswith(("qkv.weight", "q_proj.weight", "k_proj.weight")):
                    value.mul_(SHARPER)
    return model


@pytest.fixture(scope="module")
def vit():
    return small()


@pytest.fixture(scope="module")
def real(realset):
    weights, grey = realset / "weights" / "vit_tiny_patch16_224.safetensors", (0.5, 0.5, 0.5)
    return load_model("timm:vit_tiny_patch16_224", checkpoint=str(weights), mean=grey, std=grey, device="cpu")


@pytest.fixture(scope="module")
def both(realset):
    picture = Image.open(realset / "misc" / "both.png").convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float() / 255


def unfused(model, images, targets):
    """Attention and its gradient as hooks see them on timm's unfused path: another way than the recorder's."""
    layers = [block.attn for block in model.module.blocks]
    seen, hooks = [], []
    with model.ready(), torch.enable_grad():
        for layer in layers:
            layer.fused_attn = False
            hooks.append(layer.attn_drop.register_forward_hook(lambda _m, _i, out: seen.append(out)))
        try:
            logits = model(images.clone().requires_grad_())
        finally:
            for layer, hook in zip(layers, hooks, strict=True):
                layer.fused_attn = True
                hook.remove()
        gradients = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), seen)
    return [matrix.detach().double() for matrix in seen], [gradient.double() for gradient in gradients]


def straight_line(explainer, matrices, gradients):  # noqa: C901
    """The equations with whole matrices in double precision: (B, N, N), the rows of the last block's tokens."""
    identity = torch.eye(matrices[0].shape[-1], dtype=torch.float64)
    fused = []
    for attention, gradient in zip(matrices, gradients, strict=True):
        if isinstance(explainer, GradientRollout):
            heads = attention * gradient
            generic = explainer.rule == "generic"
            fused.append(heads.relu().mean(1) if generic else heads.mean(1).relu())
        elif isinstance(explainer, GMAR):
            size = gradient.abs().sum((2, 3)) if explainer.norm == "L1" else gradient.pow(2).sum((2, 3)).sqrt()
            fused.append(torch.einsum("bh,bhij->bij", size / size.sum(1, keepdim=True), attention))
        else:
            how = getattr(explainer, "heads", "mean")
            flat = {"mean": attention.mean(1), "max": attention.max(1)[0], "min": attention.min(1)[0]}[how].flatten(1)
            lowest = int(getattr(explainer, "discard", 0) * flat.shape[1])
            edge = flat.sort(1)[0][:, lowest, None]
            fused.append(torch.where(flat < edge, 0, flat).unflatten(1, identity.shape))
    if isinstance(explainer, RawAttention):
        return fused[-1]
    rolled = identity.expand_as(fused[0])
    for matrix in fused:
        if getattr(explainer, "rule", "") == "gmar_plus":
            rolled = rolled @ matrix + identity
        elif getattr(explainer, "rule", "") == "generic":
            rolled = rolled + matrix @ rolled
        else:
            both = 0.5 * matrix + 0.5 * identity
            rolled = (both / both.sum(2, keepdim=True)) @ rolled
    return rolled


def upsampled(cells, size):
    return functional.interpolate(cells[:, None].float(), size, mode="bilinear", align_corners=False)[:, 0]


def close(found, expected, tolerance=1e-4):
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * expected.abs().max().item())


@pytest.mark.parametrize("explainer", VARIANTS, ids=str)
class TestStraightLine:
    def test_on_random_weights(self, explainer, vit):
        targets = torch.tensor([0, 3, 4])
        rolled = straight_line(explainer, *unfused(vit, pictures(), targets))
        maps = explain(explainer, vit, pictures(), targets, noise(3))

        close(maps, upsampled(rolled[:, 0, 1:].view(3, 4, 4), (64, 64)))
        assert maps[0].std() > 1e-3 * maps[0].mean()

    def test_on_real_weights(self, explainer, real, both):
        targets = torch.tensor([282])
        rolled = straight_line(explainer, *unfused(real, both, targets))
        maps = explain(explainer, real, both, targets, noise(1))

        close(maps, upsampled(rolled[:, 0, 1:].view(1, 14, 14), (224, 224)))
