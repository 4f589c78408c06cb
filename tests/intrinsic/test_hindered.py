"""The hindered transformer: its logits are the sum of its patches, exactly, and patches do not speak to each other."""

import pytest
import torch
from small_models import hindered, pictures
from torch.nn import functional

from xai_bench.adapters import load_model
from xai_bench.adapters.checkpoint import save_model
from xai_bench.errors import InvalidValueError, ModelError, UnknownNameError, UnsupportedError
from xai_bench.explainers import EXPLAINERS, explain
from xai_bench.explainers.look import Sight, look
from xai_bench.intrinsic import ARCHITECTURES, HinderedTransformer
from xai_bench.seeding import Noise

DEPTHS = [(1,), (3,), (2, 1), (1, 2, 1)]


class TestTheSum:
    @pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.float64, 1e-10)], ids=str)
    @pytest.mark.parametrize("depths", DEPTHS, ids=str)
    @pytest.mark.parametrize("centring", ["even", "own"])
    def test_patches_and_constant_add_up_to_the_logits(self, depths, dtype, error, centring):
        module, images = hindered(depths=depths, size=(16, 32)).to(dtype), pictures(size=(16, 32)).to(dtype)
        with torch.no_grad():
            logits, found = module(images), module.contributions(images, centring)
        together = found.patches.sum((2, 3)) + found.constant

        assert found.patches.shape == (3, 5, 4, 8)
        assert (together - logits).abs().max() <= error * logits.abs().max()
        assert logits.std(0).min() > 1e-3  # there is something to add up
        assert found.patches.abs().mean() > 1e-3

    def test_of_one_block_it_is_what_the_definition_says(self):
        # cam_patch = W LN'(v_patch + (first token + bias) / n), all of the final norm dealt out evenly
        module, image = hindered(depths=(1,), heads=1).double(), pictures(1).double()
        block, first = module.blocks[0], module.token[0, 0]
        with torch.no_grad():
            patches = (module.embed(image).permute(0, 2, 3, 1) + module.places).reshape(24, 16)
            asked = block.query(block.norm1(first))
            key, value = block.key_value(block.norm1(patches)).chunk(2, 1)
            vectors = (key @ asked / 16**0.5).softmax(0)[:, None] * value @ block.proj.weight.T
            shared = vectors + (first + block.proj.bias) / 24
            whole = shared.sum(0)
            normed = (shared - whole.mean() / 24) / (whole.var(correction=0) + 1e-6).sqrt()
            expected = (normed * module.norm.weight + module.norm.bias / 24) @ module.head.weight.T
            found = module.contributions(image)
        ours = found.patches[0].flatten(1).T + (found.constant[0] - module.head.bias) / 24

        assert torch.allclose(ours, expected, atol=1e-12)

    def test_a_patch_that_moves_all_channels_alike_adds_nothing_of_its_own(self):
        module, images = hindered(depths=(1,)), pictures()
        torch.nn.init.ones_(module.blocks[0].proj.weight)
        with torch.no_grad():
            own, even = (module.contributions(images, centring).patches for centring in ("own", "even"))

        assert own.abs().max() < 1e-4 * even.abs().max()

    def test_a_patch_of_a_later_stage_is_shared_out_evenly(self):
        module, images = hindered(depths=(1, 1)), pictures()
        torch.nn.init.zeros_(module.blocks[0].proj.weight)  # only the second stage adds
        with torch.no_grad():
            cells = module.contributions(images).patches

        assert torch.equal(cells, functional.avg_pool2d(cells, 2).repeat_interleave(2, 2).repeat_interleave(2, 3))
        assert cells.std() > 1e-3


class TestWhatPatchesKnow:
    def test_without_pooling_a_patch_moves_no_other_patch(self):
        module, images = hindered(depths=(3,)), pictures(1)
        other = images.clone()
        other[:, :, 4:8, 8:12] = 0  # the patch in row 1, column 2
        seen = []
        for block in module.blocks:
            block.register_forward_hook(lambda _block, given, _out: seen.append(given[1]))
        with torch.no_grad():
            module(images), module(other)
        changed = [(a != b).any(3)[0] for a, b in zip(seen[:3], seen[3:], strict=True)]
        alone = torch.zeros(4, 6, dtype=torch.bool)
        alone[1, 2] = True

        assert all(torch.equal(one, alone) for one in changed)

    def test_the_order_of_patches_matters_only_by_their_places(self):
        module, images = hindered(depths=(2,)), pictures()
        torch.nn.init.zeros_(module.places)
        with torch.no_grad():
            turned = module.contributions(images.flip(3).unflatten(3, (6, 4)).flip(4).flatten(3)).patches

            assert torch.allclose(turned.flip(3), module.contributions(images).patches, atol=1e-5)


class TestLoading:
    def test_by_name_with_its_size_and_colours(self):
        model = load_model("hit:tiny", pretrained=False, num_classes=4)

        assert model.input_size == (64, 64)
        assert model.mean == pytest.approx((0.485, 0.456, 0.406))
        assert model(torch.rand(2, 3, 64, 64)).shape == (2, 4)
        assert load_model("hit:tiny", pretrained=False, num_classes=4, input_size=32).input_size == (32, 32)

    def test_the_layer_of_cam_methods_is_the_last_norm_of_the_patches(self):
        model = load_model("hit:tiny", pretrained=False, num_classes=4, input_size=32)
        images = torch.rand(2, 3, 32, 32)
        seen = look(model, images, torch.tensor([0, 0]), {Sight("layer")})

        assert model.layer == "blocks.3.norm1"
        assert seen.activations().shape == (2, 64, 2, 2)
        assert seen.gradients().abs().max() > 0

    def test_saved_and_loaded_it_is_the_same(self, tmp_path):
        keywords = {"num_classes": 4, "depths": (1, 1), "dim": 16, "heads": 2}
        model = load_model("hit:tiny", pretrained=False, **keywords)
        path = save_model(model, tmp_path / "hit.safetensors", recipe={"name": "hit:tiny", **keywords})
        images = torch.rand(2, 3, 64, 64)

        assert torch.equal(load_model(path)(images), model(images))
        assert load_model(path).fingerprint == model.fingerprint

    @pytest.mark.parametrize(
        ("name", "keywords", "error", "sentence"),
        [
            ("hit:tinny", {}, UnknownNameError, "unknown model 'hit:tinny'; did you mean 'hit:tiny'"),
            ("hit:tiny", {"pretrained": True}, ModelError, "there are no pretrained weights for model 'hit:tiny'"),
            ("hit:tiny", {"heds": 2}, InvalidValueError, "does not take 'heds'; did you mean 'heads'"),
            ("hit:tiny", {"heads": 5}, InvalidValueError, "dim must be a multiple of heads, got 64 and 5"),
            (
                "hit:tiny",
                {"depths": [1, 0]},
                InvalidValueError,
                r"depths must be whole numbers from 1, .* got \[1, 0\]",
            ),
            (
                "hit:tiny",
                {"input_size": 40},
                InvalidValueError,
                "images of 40 x 40 cannot be cut into patches of 8 and averaged 1 times; .* multiples of 16",
            ),
        ],
    )
    @pytest.mark.usefixtures("unchecked")
    def test_what_cannot_be_is_refused_in_a_sentence(self, name, keywords, error, sentence):
        with pytest.raises(error, match=sentence):
            load_model(name, **({"pretrained": False} | keywords))

    def test_images_of_another_size_are_refused(self):
        with pytest.raises(
            InvalidValueError, match="for images of 16 x 24 got 16 x 16; build it with another img_size"
        ):
            hindered()(torch.rand(1, 3, 16, 16))


class TestExplainer:
    model = load_model(hindered(size=(16, 16)), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), input_size=16)
    images = pictures(size=(16, 16))
    targets = torch.tensor([0, 3, 1])

    def maps(self, **options):
        explainer = EXPLAINERS.build({"name": "patch_contributions", **options})
        return explain(explainer, self.model, self.images, self.targets, Noise(0, "e", ("a", "b", "c")))

    def logits(self):
        with torch.no_grad():
            return self.model(self.images).gather(1, self.targets[:, None])[:, 0]

    def test_the_map_adds_up_to_the_targets_logit_but_for_the_heads_bias(self):
        total = self.maps().sum((1, 2)) / 16 + self.model.module.head.bias[self.targets]

        assert total.tolist() == pytest.approx(self.logits().tolist(), abs=1e-4)

    def test_what_no_patch_brings_may_be_left_out_and_changes_no_order(self):
        spread, bare = self.maps(), self.maps(constant="left_out")
        difference = (spread - bare).flatten(1)

        assert difference.std(1).max() < 1e-6
        assert difference.abs().min() > 1e-4

    def test_each_pixel_has_its_patchs_number_or_one_between_centres(self):
        cells = self.maps()[:, ::4, ::4]
        smooth = functional.interpolate(cells[:, None], (16, 16), mode="bilinear", align_corners=False)[:, 0]

        assert torch.equal(self.maps(), cells.repeat_interleave(4, 1).repeat_interleave(4, 2))
        assert torch.allclose(self.maps(resampling="bilinear"), smooth, atol=1e-6)

    def test_it_needs_such_a_model(self):
        other = load_model("timm:test_resnet", pretrained=False, num_classes=3, input_size=64)
        explainer = EXPLAINERS.build("patch_contributions")
        sentence = "explainer 'patch_contributions' reads what HinderedTransformer computes, so it needs a 'hit:' model"

        assert explainer.unfit(self.model) == ""
        assert explainer.unfit(other).startswith(sentence)
        with pytest.raises(UnsupportedError, match=sentence):
            explainer(other, torch.rand(1, 3, 64, 64), torch.zeros(1, dtype=torch.int64))


def test_attention_dropout_and_stochastic_depth_act_in_training_alone():
    module = hindered(attention_dropout=0.5, drop_path=0.5)
    images = pictures()
    with torch.no_grad():
        still = [module(images) for _ in range(2)]
        moving = [module.train()(images) for _ in range(2)]

    assert torch.equal(*still)
    assert not torch.equal(*moving)


def test_the_published_model_has_about_80_million_weights():
    with torch.device("meta"):
        module = HinderedTransformer(num_classes=1000, **ARCHITECTURES["base_patch8"])

    # 12 blocks of 12 x 768^2, less the last one's MLP of 8 x 768^2
    assert sum(weight.numel() for weight in module.parameters()) == pytest.approx(136 * 768**2, rel=0.03)
