"""Token dropping: equal to computing with fewer tokens, deaf to what is hidden, loud where it cannot work."""

from functools import cache

import pytest
import timm
import torch
from timm.layers import AttentionPoolPrr
from timm.models.eva import Eva
from torch import Tensor, nn

import xai_bench as xb
from xai_bench.adapters import Preprocessing, VisionModel
from xai_bench.engine import Case, Engine, Scene
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.metrics import score
from xai_bench.metrics.deletion import Deletion
from xai_bench.removal import REMOVALS, TokenDropping
from xai_bench.removal.tokens import COVERED
from xai_bench.seeding import Noise
from xai_bench.types import Batch

SIZE = (32, 48)
GRID = (4, 6)
SMALL = {"img_size": SIZE, "patch_size": 8, "depth": 3, "num_classes": 10}
NAMES = {  # timm's name and what is changed
    "vit": ("vit_tiny_patch16_224", {}),
    "average": ("vit_tiny_patch16_224", {"global_pool": "avg"}),
    "no prefix": ("vit_tiny_patch16_224", {"global_pool": "avg", "class_token": False}),
    "average with prefix": ("vit_tiny_patch16_224", {"global_pool": "avg", "pool_include_prefix": True}),
    "maximum": ("vit_tiny_patch16_224", {"global_pool": "max"}),
    "both": ("vit_tiny_patch16_224", {"global_pool": "avgmax"}),
    "attention pool": ("vit_tiny_patch16_224", {"global_pool": "map", "class_token": False}),
    "parallel": ("vit_small_patch16_36x1_224", {"embed_dim": 64, "num_heads": 2}),
    "deit": ("deit_tiny_patch16_224", {}),
    "distilled": ("deit_tiny_distilled_patch16_224", {}),
    "dinov2 with registers": ("vit_small_patch14_reg4_dinov2", {"embed_dim": 64, "num_heads": 2}),
    "dynamic": ("vit_tiny_patch16_224", {"dynamic_img_size": True}),
    "eva02": ("eva02_tiny_patch14_224", {}),
    "mixed rotation": ("vit_small_patch16_rope_mixed_224", {"embed_dim": 64, "num_heads": 2}),
    "perception encoder": ("vit_pe_core_tiny_patch16_384", {"embed_dim": 64, "num_heads": 2}),
    "dinov3": ("vit_small_patch16_dinov3", {"embed_dim": 64, "num_heads": 2}),
}
models = pytest.mark.parametrize("name", NAMES)
NOISE = Noise(0, "tokens", ("a", "b"))


def vision(module: nn.Module, name: str = "model", size: tuple[int, int] = SIZE) -> VisionModel:
    return VisionModel(
        module.eval(), name=name, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), preprocessing=Preprocessing(size)
    )


@cache
def model(name: str) -> VisionModel:
    torch.manual_seed(0)
    kind, changed = NAMES[name]
    module = timm.create_model(kind, **SMALL | changed)
    for parameter in module.parameters():  # position embeddings and class tokens that would betray a position
        nn.init.normal_(parameter, parameter.mean().item(), 0.2)
    return vision(module, name)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def patches() -> Tensor:
    """Different numbers of patches stay: about half, one, and all."""
    patches = torch.rand(3, *GRID, generator=torch.Generator().manual_seed(2)) > 0.5
    patches[1], patches[2] = False, True
    patches[1, 2, 3] = True
    return patches


def pixels(patches: Tensor) -> Tensor:
    return patches.float().kron(torch.ones(1, 8, 8))


@torch.inference_mode()
def seen(model: VisionModel, images: Tensor, keep: Tensor, removal: TokenDropping | None = None) -> Tensor:
    return (removal or TokenDropping()).see(model, images, keep, None)


@torch.inference_mode()
def followed(model: VisionModel, images: Tensor, patches: Tensor) -> Tensor:
    """Image by image: gather the tokens that stay and run the blocks on them, with no mask anywhere."""
    module, rows = model.module, []
    for image, stays in zip(model.normalise(images), patches.flatten(1), strict=True):
        tokens = module._pos_embed(module.patch_embed(image[None]))
        rotations = [{}] * len(module.blocks)
        if isinstance(module, Eva):
            tokens, rope = tokens
            rope = rope[..., stays, :]
            rotations = [{"rope": rope[i] if module.rope_mixed else rope} for i in range(len(module.blocks))]
        prefix = torch.ones(module.num_prefix_tokens, dtype=torch.bool)
        tokens = module.norm_pre(tokens[:, torch.cat([prefix, stays])])
        for block, rotation in zip(module.blocks, rotations, strict=True):
            tokens = block(tokens, **rotation)
        rows.append(module.forward_head(module.norm(tokens)))
    return torch.cat(rows)


def close(got: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance * expected.abs().max().item())


@models
def test_it_is_as_if_the_tokens_were_not_there(name, images, patches):
    expected = followed(model(name), images, patches)

    close(seen(model(name), images, pixels(patches)), expected, 1e-5)
    assert (expected[:2] - model(name)(images)[:2]).abs().amax(1).min() > 1e-2 * expected.abs().max()


@pytest.mark.parametrize("name", ["vit", "attention pool", "eva02"])
def test_attention_written_out_takes_the_same_masks(name, images, patches, monkeypatch):
    """Where torch's fused attention is off, timm adds masks to the scores by other code."""
    expected = seen(model(name), images, pixels(patches))
    for part in model(name).module.modules():
        if hasattr(part, "fused_attn"):
            monkeypatch.setattr(part, "fused_attn", False)

    close(seen(model(name), images, pixels(patches)), expected, 1e-5)


@models
def test_everything_visible_is_the_plain_forward_pass(name, images):
    close(seen(model(name), images, torch.ones(3, *SIZE)), model(name)(images), 1e-5)


@models
def test_what_is_hidden_cannot_leak(name, images, patches):
    keep = pixels(patches)
    keep[:, ::3] = 0  # parts of patches, too
    others = torch.where(keep[:, None] > 0, images, 1e3 * torch.randn(images.shape))
    broken = torch.where(keep[:, None] > 0, images, torch.nan)
    expected = seen(model(name), images, keep)

    close(seen(model(name), others, keep), expected, 1e-6)
    close(seen(model(name), broken, keep), expected, 1e-6)


@models
def test_nothing_visible_gives_one_prediction_whatever_the_image(name, images):
    logits = seen(model(name), images, torch.zeros(3, *SIZE))

    assert logits.isfinite().all()
    assert torch.equal(logits[0], logits[1])


@pytest.mark.parametrize("name", ["vit", "distilled", "dinov2 with registers", "average with prefix"])
def test_with_nothing_visible_the_prefix_tokens_are_all_there_is(name, images):
    expected = followed(model(name), images, torch.zeros(3, *GRID, dtype=torch.bool))

    close(seen(model(name), images, torch.zeros(3, *SIZE)), expected, 1e-5)


@pytest.mark.parametrize("name", ["average", "no prefix", "maximum", "both", "attention pool", "eva02"])
def test_a_head_over_patches_only_sees_an_empty_image_when_nothing_is_visible(name, images):
    """Also where some pixels are visible, but too few of every patch."""
    keep = torch.zeros(3, *SIZE)
    keep[:, ::8] = 1
    empty = torch.tensor((0.4, 0.5, 0.6)).view(3, 1, 1).expand(3, 3, *SIZE)

    close(seen(model(name), images, keep), model(name)(empty), 1e-5)


@models
def test_a_batch_is_seen_as_its_images_are(name, images, patches):
    keep = pixels(patches)
    singly = torch.cat([seen(model(name), images[i : i + 1], keep[i : i + 1]) for i in range(3)])

    close(seen(model(name), images, keep), singly, 1e-5)


# Patches that are partly hidden


def test_a_patch_stays_while_enough_of_it_is_visible(images):
    """32 of 64 pixels are enough, 31 are not; the hidden ones have the mean colour."""
    wrapped, patches, keep = model("vit"), torch.ones(3, *GRID, dtype=torch.bool), torch.ones(3, *SIZE)
    keep[:, :4, :8] = keep[:, 8:12, :8] = keep[:, 12, 0] = 0  # rows 0 to 3 of patch 0; 33 pixels of patch 6
    patches[:, 1, 0] = False
    mean = torch.tensor(wrapped.mean).view(3, 1, 1)
    filled = torch.where(keep[:, None] > 0, images, mean)

    close(seen(wrapped, images, keep), followed(wrapped, filled, patches), 1e-5)
    close(seen(wrapped, images, keep, TokenDropping(0.1)), wrapped(filled), 1e-5)


@pytest.mark.parametrize("share", [1.0, 1 / 3, 0.7, 1e-3])
def test_the_share_counts_pixels(share):
    module, keep = model("vit").module, torch.zeros(64, *SIZE)
    for count in range(64):
        keep[count, :8, :8].view(8, 8)[count // 8, : count % 8] = 1
        keep[count, : count // 8, :8] = 1
    expected = [count >= share * 64 for count in range(64)]

    assert TokenDropping(share).stays(module, keep)[:, 0].tolist() == expected


def test_an_image_that_the_model_pads_is_judged_by_its_own_pixels():
    """30 x 44 with patches of 8: the last row and column of patches stick out, and what is inside them counts."""
    torch.manual_seed(0)
    module = timm.create_model(
        "vit_tiny_patch16_224", **SMALL | {"img_size": 32}, dynamic_img_size=True, dynamic_img_pad=True
    )
    padding, images = vision(module, size=(30, 44)), torch.rand(1, 3, 30, 44)
    keep, patches = torch.ones(1, 30, 44), torch.ones(1, 4, 6, dtype=torch.bool)
    keep[:, 24:], patches[:, 3] = 0, False
    keep[:, 24:27, 40:] = 1  # half of the 6 x 4 pixels of the corner
    patches[:, 3, 5] = True
    filled = torch.where(keep[:, None] > 0, images, torch.tensor(padding.mean).view(3, 1, 1))

    close(seen(padding, images, torch.ones(1, 30, 44)), padding(images), 1e-5)
    close(seen(padding, images, keep), followed(padding, filled, patches), 1e-5)


# The caller's module


def state(module: nn.Module) -> list[object]:
    return [
        (name, part.training, *(list(vars(part)[hooks]) for hooks in vars(part) if "hooks" in hooks), *vars(part))
        for name, part in module.named_modules()
    ]


@pytest.mark.parametrize("name", ["vit", "attention pool", "eva02"])
def test_the_module_comes_back_as_it_was(name, images, patches):
    module = model(name).module
    before = state(module)
    TokenDropping().prepare(model(name), images, NOISE)
    seen(model(name), images, pixels(patches))

    assert state(module) == before


def test_the_module_comes_back_as_it_was_after_an_error(images, patches):
    module = model("attention pool").module
    before = state(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.head, "forward", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            seen(model("attention pool"), images, pixels(patches))

    assert state(module) == before


# The engine


def test_a_curve_is_the_same_whatever_the_chunk(images):
    """Chunks hold images with different numbers of tokens."""
    maps, metric = pixels(torch.rand(3, *GRID)), Deletion(removal=TokenDropping(), steps=6, output="logit")
    scores = [
        score(
            metric,
            Case(Scene(model("vit"), Batch(images, ("a", "b", "c")), engine=Engine(model("vit"), chunk=n)), maps),
        )
        for n in (2, 5, 32)
    ]

    torch.testing.assert_close(scores[0].values, scores[1].values, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(scores[0].values, scores[2].values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["vit", "attention pool"])
def test_half_precision_is_near_single(name, images, patches):
    single = seen(model(name), images, pixels(patches))
    with Engine(model(name), precision="bf16").ready(TokenDropping()) as eyes:
        half = seen(eyes, images, pixels(patches)).float()

    close(half, single, 0.05)
    assert not torch.equal(half, single)


# Refusals


@pytest.mark.parametrize(
    ("name", "changed", "fault"),
    [
        ("test_resnet", {}, "a ResNet"),
        ("swin_tiny_patch4_window7_224", {"depths": (1, 1, 1, 1)}, "a SwinTransformer"),
        ("beit_base_patch16_224", {"depth": 1}, "a Beit"),
        ("vit_tiny_r_s16_p8_224", {"depth": 1}, "a VisionTransformer whose patches overlap or pass through other"),
    ],
)
def test_a_model_that_is_not_covered_is_refused_by_name(name, changed, fault):
    wrapped = vision(timm.create_model(name, **changed), name, (224, 224))

    assert TokenDropping().unfit(wrapped).startswith(f"token dropping covers {COVERED}, but model {name!r} is {fault}")
    assert COVERED.startswith("timm's VisionTransformer and Eva (ViT, DeiT, DINOv2 and v3, SigLIP, EVA-02, ...)")


def test_patches_that_overlap_are_refused():
    module = timm.create_model("vit_tiny_patch16_224", **SMALL)
    module.patch_embed.proj = nn.Conv2d(3, 192, 10, stride=8, padding=1)

    assert "whose patches overlap" in TokenDropping().unfit(vision(module))


def test_a_pooling_that_takes_no_mask_is_refused():
    module = timm.create_model("vit_tiny_patch16_224", **SMALL)
    module.attn_pool = AttentionPoolPrr(192, pool_type="avg")

    assert "with the pooling AttentionPoolPrr" in TokenDropping().unfit(vision(module))


def test_a_timm_that_cannot_mask_attention_is_refused(monkeypatch):
    module = timm.create_model("vit_tiny_patch16_224", **SMALL)
    monkeypatch.setattr(module, "forward", lambda x: x)

    assert "of a timm too old to mask attention" in TokenDropping().unfit(vision(module))


class Mixing(nn.Module):
    """Tokens that see each other outside attention."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + tokens.mean(1, keepdim=True)


def test_a_model_that_mixes_tokens_elsewhere_is_refused():
    module = timm.create_model("vit_tiny_patch16_224", **SMALL)
    module.blocks[0].mlp = Mixing()

    assert "another layer than attention mixes its tokens" in TokenDropping().unfit(vision(module))


def test_a_model_that_notices_the_mask_is_refused(monkeypatch):
    module = timm.create_model("vit_tiny_patch16_224", **SMALL)
    plain = module.forward
    monkeypatch.setattr(module, "forward", lambda x, attn_mask=None: plain(x, attn_mask) + (attn_mask is not None))

    with pytest.raises(UnsupportedError, match="model 'model' does not compute as if dropped tokens were not there"):
        TokenDropping().prepare(vision(module), torch.rand(1, 3, *SIZE), NOISE)


def test_a_soft_mask_is_refused(images):
    with pytest.raises(InvalidValueError, match="'token_dropping' knows only hidden"):
        seen(model("vit"), images, torch.full((3, *SIZE), 0.5))


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(InvalidValueError, match="share of removal token_dropping must be above 0 and at most 1, got"):
        TokenDropping(share)


def test_an_empty_batch_is_prepared():
    assert TokenDropping().prepare(model("vit"), torch.rand(0, 3, *SIZE), Noise(0, "tokens", ())) is None


# Real weights


@pytest.mark.realset
def test_the_real_vit_is_as_if_the_tokens_were_not_there(realset):
    weights = realset / "weights" / "vit_tiny_patch16_224.safetensors"
    half = (0.5, 0.5, 0.5)
    vit = xb.load_model("timm:vit_tiny_patch16_224", checkpoint=weights, device="cpu", mean=half, std=half)
    images = xb.load_data("imagenet_val", path=realset, size=224, n=4).batch(0, 4).images
    patches = torch.rand(4, 14, 14, generator=torch.Generator().manual_seed(0)) > torch.tensor(
        [0.2, 0.5, 0.8, 0.99]
    ).view(4, 1, 1)
    keep = patches.float().kron(torch.ones(1, 16, 16))
    expected = followed(vit, images, patches)

    assert REMOVALS.build("token_dropping").unfit(vit) == ""
    torch.testing.assert_close(seen(vit, images, keep), expected, atol=1e-5, rtol=1e-5)
    others = torch.where(keep[:, None] > 0, images, torch.rand_like(images))
    torch.testing.assert_close(seen(vit, others, keep), seen(vit, images, keep), atol=1e-6, rtol=1e-6)
