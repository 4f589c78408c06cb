"""Attention explainers: values known on paper, whole matrices of unfused attention, which models they cover."""

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
    model = load_model(f"timm:{name}", pretrained=False, num_classes=5, input_size=input_size, device="cpu", **factory)
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


def straight_line(explainer, matrices, gradients):
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


@pytest.fixture(scope="module")
def uniform():
    """Six blocks in which each of 17 tokens attends to each as much."""
    model = small(sharper=False)
    with torch.no_grad():
        for block in model.module.blocks:
            block.attn.qkv.weight[:128] = 0  # queries and keys
            block.attn.qkv.bias[:128] = 0
    return model


class TestOnPaper:
    @pytest.mark.parametrize(
        ("explainer", "expected"),
        [
            (RawAttention(), 1 / 17),
            (Rollout(), (1 - 2**-6) / 17),  # J J = J for J = 1/17 everywhere, so ((J + I) / 2)^6 = I/64 + (1 - 1/64) J
            (GMAR(), (1 - 2**-6) / 17),
            (GMAR(rule="gmar_plus"), 6 / 17),
        ],
        ids=str,
    )
    def test_uniform_attention(self, uniform, explainer, expected):
        maps = explain(explainer, uniform, pictures(), torch.tensor([0, 1, 2]), noise(3))

        torch.testing.assert_close(maps, torch.full_like(maps, expected), rtol=1e-5, atol=0)

    @pytest.mark.parametrize("explainer", [GradientRollout(), GMAR(), TransformerAttribution()], ids=str)
    def test_where_nothing_raises_the_logit_the_map_is_constant_zero(self, explainer):
        model = small()
        with torch.no_grad():
            model.module.head.weight.zero_()

        assert not explain(explainer, model, pictures(), torch.tensor([0, 1, 2]), noise(3)).any()


@pytest.mark.parametrize("explainer", [GradientRollout(), TransformerAttribution()], ids=str)
def test_the_class_asked_for_is_shown(explainer, real, both):
    dog, cat = (explain(explainer, real, both, torch.tensor([label]), noise(1))[0] for label in (243, 282))
    low = slice(125, None)  # where the cat lies

    assert cat[low].sum() / cat.sum() > 1.5 * dog[low].sum() / dog.sum()
    assert divmod(cat.argmax().item(), 224)[0] > 125 > divmod(dog.argmax().item(), 224)[0]


class TestPooling:
    """Models whose logits are not read off one class token, against whole matrices."""

    def test_pooled_patches_are_read_by_their_mean(self):
        model, targets = small("test_vit2"), torch.tensor([0, 3, 4])
        matrices, gradients = unfused(model, pictures(), targets)
        for explainer in (Rollout(), RawAttention(), GradientRollout()):
            rolled = straight_line(explainer, matrices, gradients)
            start = torch.eye(17, dtype=torch.float64) * (explainer == GradientRollout())
            rows = (rolled - start)[:, 1:, 1:].mean(1)  # one register in front

            close(
                explain(explainer, model, pictures(), targets, noise(3)), upsampled(rows.view(3, 4, 4), (64, 64)), 1e-3
            )

    def test_two_class_tokens_are_read_by_their_mean(self):
        model = small("deit_tiny_distilled_patch16_224", depth=2, embed_dim=48)
        targets = torch.tensor([0, 3, 4])
        rolled = straight_line(Rollout(), *unfused(model, pictures(), targets))
        maps = explain(Rollout(), model, pictures(), targets, noise(3))

        close(maps, upsampled(rolled[:, :2, 2:].mean(1).view(3, 4, 4), (64, 64)))

    def test_a_pool_that_attends_is_read_as_it_attends(self):
        model, targets = small("test_vit3", depth=2), torch.tensor([0, 3, 4])
        pool, inputs = model.module.attn_pool, []
        hook = pool.register_forward_pre_hook(lambda _m, given: inputs.append(given[0]))
        rolled = straight_line(Rollout(), *unfused(model, pictures(), targets))
        hook.remove()
        with torch.no_grad():
            key = pool.kv(inputs[0])[..., :96].unflatten(2, (3, 32))  # 3 heads
            query = pool.q(pool.latent)[0, 0].view(3, 32)
            attended = (torch.einsum("hd,bnhd->bhn", query, key) / math.sqrt(32)).softmax(2).mean(1).double()
        rows = torch.einsum("bn,bnm->bm", attended, rolled)[:, 1:]

        close(explain(Rollout(), model, pictures(), targets, noise(3)), upsampled(rows.view(3, 4, 4), (64, 64)))

    def test_images_of_another_size_where_the_model_takes_them(self, vit):
        images, targets = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 3])
        rolled = straight_line(Rollout(), *unfused(vit, images, targets))

        close(explain(Rollout(), vit, images, targets, noise(2)), upsampled(rolled[:, 0, 1:].view(2, 6, 4), (96, 64)))


def dealt_out(parts, relevance, dim):
    """Each output's relevance in proportion to its parts, which lie along `dim`."""
    return parts / parts.sum(dim, keepdim=True) * relevance.unsqueeze(dim)


def positive_products(inputs, weight, relevance):
    return dealt_out((inputs[..., None] * weight.T).clamp(min=0), relevance, -2).sum(-1)


def two_sides(left, right, relevance):
    first, second = left / (left + right) * relevance, right / (left + right) * relevance
    size = first.sum().abs() + second.sum().abs()
    first = first * first.sum().abs() / size * relevance.sum() / first.sum()
    return first, second * second.sum().abs() / size * relevance.sum() / second.sum()


def attributed(module, inputs, target):
    """The equations of section 3 for one image, each product written out; the row (N,) of the class token."""
    heads = module.blocks[0].attn.num_heads
    tokens, steps = module.norm_pre(module._pos_embed(module.patch_embed(inputs)))[0].requires_grad_(), []
    for block in module.blocks:
        step = {"x": tokens, "n": block.norm1(tokens)}
        qkv = block.attn.qkv(step["n"]).unflatten(1, (3, heads, -1)).permute(1, 2, 0, 3)
        step["q"], step["k"], step["v"] = qkv
        step["A"] = (torch.einsum("hid,hjd->hij", *qkv[:2]) / math.sqrt(qkv.shape[3])).softmax(2)
        step["o"] = torch.einsum("hij,hjd->ihd", step["A"], step["v"]).flatten(1)
        step["y"] = block.attn.proj(step["o"])
        step["x2"] = tokens + step["y"]
        step["n2"] = block.norm2(step["x2"])
        step["g"] = functional.gelu(block.mlp.fc1(step["n2"]))
        step["m"] = block.mlp.fc2(step["g"])
        tokens = step["x2"] + step["m"]
        steps.append(step)
    top = module.norm(tokens)[0]
    gradients = torch.autograd.grad(module.head(top)[target], [step["A"] for step in steps])
    relevance = torch.zeros_like(tokens)
    raising = (top * module.head.weight[target]).clamp(min=0)
    relevance[0] = raising / raising.sum()
    rolled = torch.eye(len(tokens), dtype=torch.float64)
    found = []
    for block, step, gradient in reversed(list(zip(module.blocks, steps, gradients, strict=True))):
        skipped, inner = two_sides(step["x2"], step["m"], relevance)
        inner = positive_products(step["g"], block.mlp.fc2.weight, inner)
        relevance = skipped + positive_products(step["n2"], block.mlp.fc1.weight, inner)
        skipped, inner = two_sides(step["x"], step["y"], relevance)
        inner = positive_products(step["o"], block.attn.proj.weight, inner).unflatten(1, (heads, -1)).transpose(0, 1)
        shares = dealt_out(torch.einsum("hij,hjd->hijd", step["A"], step["v"]), inner, 2) / 2
        inside, values = shares.sum(3), shares.sum(1)
        shares = dealt_out(torch.einsum("hid,hjd->hijd", step["q"], step["k"]), inside, 3) / 2
        parts = torch.stack([shares.sum(2), shares.sum(1), values]).permute(2, 0, 1, 3).flatten(1)
        relevance = skipped + positive_products(step["n"], block.attn.qkv.weight, parts)
        found.append((gradient * inside).clamp(min=0).mean(0))
    for mixed in reversed(found):
        rolled = rolled + mixed @ rolled
    return rolled[0].detach()


@pytest.fixture(scope="module")
def shallow():
    return {depth: small(depth=depth, embed_dim=16, num_heads=2, input_size=32) for depth in (1, 3)}


class TestTransformerAttribution:
    @pytest.mark.parametrize("depth", [1, 3])
    def test_is_the_papers_equations(self, shallow, depth):
        model = shallow[depth]
        images, targets = pictures(2)[..., :32, :32].contiguous(), torch.tensor([1, 4])
        maps = explain(TransformerAttribution(), model, images, targets, noise(2))
        module = small(depth=depth, embed_dim=16, num_heads=2, input_size=32).module.double()
        for image, target, found in zip(images, targets, maps, strict=True):
            row = attributed(module, model.normalise(image[None]).double(), target)

            close(found[None], upsampled(row[1:].view(1, 2, 2), (32, 32)))

    def test_no_relevance_is_lost(self, vit, monkeypatch):
        from xai_bench.explainers.attention import passed as room

        through, sums = room._through_block, []

        def spy(*given):
            below, inside = through(*given)
            sums.append((given[-1].sum((1, 2)), below.sum((1, 2))))
            return below, inside

        monkeypatch.setattr(room, "_through_block", spy)
        explain(TransformerAttribution(), vit, pictures(), torch.tensor([0, 3, 4]), noise(3))

        assert len(sums) == 6
        for above, below in sums:
            torch.testing.assert_close(above, torch.ones(3, dtype=torch.float64))
            torch.testing.assert_close(below, above)

    def test_pooled_patches_are_covered(self):
        model = small("test_vit2")
        with model.ready(), torch.enable_grad():
            blocks = passed(model, pictures(), torch.tensor([0, 3, 4]))
        maps = explain(TransformerAttribution(), model, pictures(), torch.tensor([0, 3, 4]), noise(3))

        assert len(blocks) == 8
        assert all((maps.amax((1, 2)) - maps.amin((1, 2))) / maps.amax((1, 2)) > 0.1)

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("test_vit3", "has the pooling 'map'"),
            ("test_vit_relpos", "has the form of a VisionTransformerRelPos"),
            ("deit_tiny_distilled_patch16_224", "has the form of a VisionTransformerDistilled"),
        ],
    )
    def test_other_forms_are_refused_by_name(self, name, reason):
        model = small(name, depth=1, embed_dim=48, num_heads=3)

        assert f"'timm:{name}' {reason}" in TransformerAttribution().unfit(model)
        with pytest.raises(UnsupportedError, match=reason):
            explain(TransformerAttribution(), model, pictures(1), torch.tensor([0]), noise(1))


MASK = torch.rand(5, 7, generator=torch.Generator().manual_seed(0)) > 0.3
KERNEL_OPTIONS = [{}, {"attn_mask": MASK}, {"attn_mask": MASK.float()}, {"is_causal": True}, {"scale": 0.3}]


class TestRecorder:
    def heads(self, key_heads=4):
        generator = torch.Generator().manual_seed(0)
        shapes = [(2, 4, 5, 8), (2, key_heads, 7, 8), (2, key_heads, 7, 8)]
        return [torch.randn(shape, generator=generator) for shape in shapes]

    @pytest.mark.parametrize("options", [*KERNEL_OPTIONS, {"enable_gqa": True}], ids="-".join)
    def test_the_kernels_definition_is_the_kernel(self, vit, options):
        given = self.heads(2 if "enable_gqa" in options else 4)
        expected = functional.scaled_dot_product_attention(*given, **options)
        with recorded(vit) as matrices:
            found = functional.scaled_dot_product_attention(*given, **options)

        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        assert [matrix.shape for matrix in matrices] == [(2, 4, 5, 7)]
        torch.testing.assert_close(matrices[0].sum(3), torch.ones(2, 4, 5))

    def test_every_way_to_write_attention_is_recorded(self, vit):
        query, key, value = self.heads()
        scores = query @ key.transpose(2, 3)
        with recorded(vit) as matrices:
            scores.softmax(dim=-1) @ value
            torch.einsum("bhij,bhjd->bhid", functional.softmax(scores, -1), value)
            torch.bmm(torch.softmax(scores, 3).flatten(0, 1), value.flatten(0, 1))  # (B * heads, N, N) is another one
            torch.nn.Softmax(-1)(scores).matmul(value)
            scores.softmax(-1).mean(1) @ value.mean(1)  # mixed before it meets the values: not what weighs them

        assert len(matrices) == 3
        assert all(torch.equal(matrix, scores.softmax(3)) for matrix in matrices)

    def test_logits_are_the_models_own(self, vit):
        with vit.ready(), torch.no_grad():
            expected = vit(pictures())
            with recorded(vit) as matrices:
                found = vit(pictures())

        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        assert [matrix.shape for matrix in matrices] == [(3, 2, 17, 17)] * 6
        assert not any(matrix.requires_grad for matrix in matrices)

    def test_nothing_is_left_behind_an_error(self, vit):
        kernel = functional.scaled_dot_product_attention
        with pytest.raises(RuntimeError, match="in the middle"), recorded(vit):
            raise RuntimeError("in the middle")

        assert _len_torch_function_stack() == 0
        assert functional.scaled_dot_product_attention is kernel


class TestCoverage:
    @pytest.mark.parametrize(
        ("name", "factory", "prefix"),
        [
            ("deit3_small_patch16_224", {}, 1),
            ("beit_base_patch16_224", {}, 1),
            ("eva02_tiny_patch14_224", {"patch_size": 16}, 1),
            ("vit_small_patch14_reg4_dinov2", {"patch_size": 16}, 5),
            ("vit_small_patch16_dinov3", {}, 5),
            ("test_vit_relpos", {}, 0),
        ],
    )
    def test_transformers_with_global_attention(self, name, factory, prefix):
        model = small(name, depth=2, embed_dim=48, num_heads=3, **factory)
        for entry in (RawAttention, Rollout, GradientRollout, GMAR):
            maps = explain(entry(), model, pictures(1), torch.tensor([1]), noise(1))

            assert maps.isfinite().all()
            assert maps.std() > 0
        with recorded(model) as matrices, model.ready():
            model(pictures(1))
        assert [matrix.shape[-1] for matrix in matrices] == [prefix + 16] * 2

    @pytest.mark.parametrize(
        ("name", "factory", "reason"),
        [
            ("test_resnet", {}, "is a ResNet, whose layer 'layer4' gives a grid of features"),
            ("swin_tiny_patch4_window7_224", {"depths": (1, 1, 1, 1), "input_size": 64}, "is a SwinTransformer, whose"),
            ("cait_xxs24_224", {"depth": 2, "embed_dim": 48}, "is a Cait, whose 2 blocks attend 1 times"),
            ("xcit_nano_12_p16_224", {"depth": 2}, "is a Xcit, whose 2 blocks attend 3 times"),
            ("vit_small_patch16_18x2_224", {"depth": 2, "embed_dim": 48, "num_heads": 3}, "2 blocks attend 4 times"),
            ("levit_128s", {"input_size": 224}, "not between the same tokens"),
        ],
    )
    @pytest.mark.parametrize("explainer", [Rollout(), GMAR(), TransformerAttribution()], ids=str)
    def test_other_models_are_refused_by_name(self, name, factory, reason, explainer):
        model = small(name, sharper=False, **factory)

        assert f"'timm:{name}' is a" in explainer.unfit(model)
        assert reason in explainer.unfit(model)
        with pytest.raises(UnsupportedError, match="attention explainers cover"):
            explain(explainer, model, pictures(1), torch.tensor([0]), noise(1))

    def test_differential_attention_is_no_attention_between_tokens(self):
        from timm.layers import DiffAttention

        for fused in (True, False):
            model = small(depth=2, attn_layer=DiffAttention)
            for block in model.module.blocks:
                block.attn.fused_attn = fused

            assert "not once each" in Rollout().unfit(model) or "cannot be recorded" in Rollout().unfit(model)

    def test_a_part_that_is_not_differentiable_leaves_rollout_and_is_refused_by_gradient_rollout(self):
        model = small()
        hook = model.module.norm.register_forward_hook(lambda _m, _i, out: out.detach())
        try:
            assert explain(Rollout(), model, pictures(1), torch.tensor([0]), noise(1)).std() > 0
            with pytest.raises(UnsupportedError, match="is not differentiable"):
                explain(GradientRollout(), model, pictures(1), torch.tensor([0]), noise(1))
        finally:
            hook.remove()

    def test_all_entries_are_in_the_catalogue(self):
        assert {entry.card.name for entry in ATTENTION} <= set(EXPLAINERS)


@pytest.mark.parametrize("discard", [-0.1, 1.0, math.nan])
def test_a_share_that_is_none_is_refused(discard):
    with pytest.raises(InvalidValueError, match="discard of rollout must be at least 0 and below 1, got"):
        Rollout(discard=discard)
