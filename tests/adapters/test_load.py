"""load_model: what it takes, what it makes of it, and every sentence it refuses with."""

import sys
import time
from pathlib import Path
from types import ModuleType

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from xai_bench.adapters import Preprocessing, VisionModel, load_model
from xai_bench.adapters.factories import DOWNLOAD_ERRORS, SCHEMES
from xai_bench.adapters.load import find_device
from xai_bench.errors import InvalidValueError, ModelError, UnknownNameError, UnsupportedError
from xai_bench.ersm import ErsmModel
from xai_bench.explainers.look import Sight, look


def loaded(name: object = "timm:test_resnet", **keywords: object) -> VisionModel:
    return load_model(name, **({"pretrained": False, "device": "cpu"} | keywords))  # type: ignore[arg-type]


class Half(nn.Module):
    """Two logits; the second is the mean of what comes in."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(classes, dtype=torch.float16))

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3))[:, None] * self.scale


@pytest.fixture
def factories(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("some_factories")
    module.half = Half  # type: ignore[attr-defined]
    module.number = lambda: 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "some_factories", module)
    return module


# What comes back


def test_a_timm_model_comes_with_the_colours_and_preprocessing_of_its_record() -> None:
    model = loaded("timm:resnet18")

    expected = Preprocessing((224, 224), mode="crop", crop_pct=0.95, interpolation="bicubic")

    assert model.preprocessing == expected
    assert (model.mean, model.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_a_record_that_squashes_is_squashed() -> None:
    model = loaded(pretrained_cfg_overlay={"crop_mode": "squash"})

    assert model.preprocessing.mode == "squash"


def test_what_is_said_wins_over_the_record() -> None:
    model = loaded(mean=(0.1, 0.2, 0.3), std=[0.5, 0.5, 1], input_size=96, label="mine")

    assert (model.mean, model.std, model.input_size) == ((0.1, 0.2, 0.3), (0.5, 0.5, 1.0), (96, 96))
    assert (model.name, model.label) == ("timm:test_resnet", "mine")


def test_factory_keywords_reach_the_factory() -> None:
    model = loaded(num_classes=7, output_stride=8, input_size=(64, 64))

    assert model(torch.rand(2, 3, 64, 64)).shape == (2, 7)
    seen = look(model, torch.rand(1, 3, 64, 64), torch.tensor([0]), {Sight("layer", gradient=False)})
    assert seen.activations().shape[2:] == (8, 8)


@pytest.mark.parametrize("name", ["timm:test_vit", "timm:deit_tiny_patch16_224"])  # any size; one size only
def test_a_transformer_is_built_for_the_size_that_is_asked(name: str) -> None:
    assert loaded(name, input_size=(64, 96), num_classes=5)(torch.rand(1, 3, 64, 96)).shape == (1, 5)


def test_an_img_size_for_the_factory_is_the_size_of_the_images() -> None:
    assert loaded("timm:test_vit", img_size=64).input_size == (64, 64)


def test_a_model_comes_in_eval_mode_and_float32(factories: ModuleType) -> None:
    model = loaded("torch:some_factories:half")

    assert (model.dtype, model.module.training, model.device) == (torch.float32, False, torch.device("cpu"))


def test_an_unknown_factory_is_fed_images_as_they_are_at_224(factories: ModuleType) -> None:
    model = loaded("torch:some_factories:half", classes=2)
    images = torch.full((1, 3, 4, 4), 0.25)

    assert (model.mean, model.std, model.input_size) == ((0, 0, 0), (1, 1, 1), (224, 224))
    assert model(images).tolist() == [[0.25, 0.25]]


def test_a_module_is_taken_as_it_is() -> None:
    module = Half().train()

    model = load_model(module, input_size=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

    assert model.module is module
    assert (module.training, module.scale.dtype, model.input_size, model.name) == (True, torch.float16, (8, 8), "Half")


def test_a_vision_model_comes_back_as_it_is() -> None:
    model = loaded()

    assert load_model(model) is model


@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet", "mobilenetv3_small_050", "regnetx_002"])
def test_an_ersm_model_is_an_energy_mask_on_a_convolutional_backbone(backbone: str) -> None:
    model = loaded(f"ersm:{backbone}", num_classes=4, mode="stable", start=-2.0, unary_weight=0.1, input_size=64)

    assert isinstance(model.module, ErsmModel)
    assert (model.energy_mask.unary_weight, model.energy_mask.bias.item()) == (0.1, -2.0)
    assert model(torch.rand(2, 3, 64, 64)).shape == (2, 4)
    assert model.layer == "masked"
    assert model.std == (0.229, 0.224, 0.225) or model.std == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("stage", ["layer3", 3, -2])
def test_an_energy_mask_may_stand_after_an_earlier_stage(stage: str | int) -> None:
    model = loaded("ersm:test_resnet", num_classes=4, stage=stage, patch_size=2, input_size=64)

    assert model.module(torch.rand(2, 3, 64, 64)).shape == (2, 4)
    assert model.energy_mask.channels == 192
    assert model.layer == "backbone.layer4"
    assert loaded("ersm:test_resnet", num_classes=4, stage=stage, layer="masked", input_size=64).layer == "masked"


def test_an_ersm_model_has_the_classes_of_its_backbones_record() -> None:
    assert loaded("ersm:test_resnet").module.head.out_features == 1000


def test_a_named_layer_is_the_target_layer() -> None:
    assert loaded(layer="layer2").layer == "layer2"


def test_the_device_is_the_one_that_is_named_or_the_fastest() -> None:
    fastest = "cuda" if torch.cuda.is_available() else "cpu"

    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto").type == fastest


def test_every_scheme_is_explained() -> None:
    assert [scheme.partition(":")[0] for scheme in SCHEMES] == ["timm", "ersm", "hit", "comet", "torch", "checkpoint"]


# What is refused


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("timm:resnt18", r"unknown model 'timm:resnt18'; did you mean 'timm:resnet18'"),
        ("ersm:resnt18", r"unknown model 'ersm:resnt18'; did you mean 'ersm:resnet18'"),
        ("resnet18", r"unknown model 'resnet18'; did you mean 'timm:resnet18'\?$"),
        ("resnt18", r"unknown model 'resnt18'; did you mean 'timm:resnet18'\?$"),
        ("tim:resnet18", r"unknown model 'tim:resnet18'; allowed are timm:NAME, ersm:NAME, hit:NAME, comet:"),
        ("timm:", r"unknown model 'timm:'; see timm.list_models\(\)"),
        ("timm:qqqqqq", r"unknown model 'timm:qqqqqq'; see timm.list_models\(\)"),
        ("timm:resnet18.a1_in2k", r"unknown weights of timm:resnet18 'a1_in2k'; did you mean 'a1_in1k'"),
        ("torch:some_factories:hal", r"unknown factory in some_factories 'hal'; did you mean 'half'\?$"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, sentence: str, factories: ModuleType) -> None:
    with pytest.raises(UnknownNameError, match=sentence):
        loaded(name)


@pytest.mark.parametrize(
    ("name", "keywords", "sentence"),
    [
        ("timm:test_resnet", {"num_clases": 3}, r"'timm:test_resnet' does not take 'num_clases'; .* 'num_classes'\?$"),
        ("timm:test_vit", {"output_stride": 8}, r"model 'timm:test_vit' does not take 'output_stride'$"),
        ("ersm:test_resnet", {"unary_wieght": 3}, r"does not take 'unary_wieght'; did you mean 'unary_weight'\?$"),
        (
            "timm:test_resnet",
            {"num_classes": -3},
            r"num_classes of model 'timm:test_resnet' must be .*, got -3",
        ),
        (
            "ersm:test_resnet",
            {"num_classes": "3"},
            r"num_classes of model 'ersm:test_resnet' must be .*, got '3'",
        ),
        ("ersm:test_resnet", {"stage": 9}, r"stage must be in \[-5, 4\] or a name, one of act1, layer1, .*, got 9"),
        ("ersm:test_resnet", {"unary_weight": -0.1}, r"unary_weight must be 0 or more, got -0.1"),
        ("ersm:test_resnet", {"patch_size": 3}, r"5 x 5 cannot be cut into patches of patch_size 3"),
        ("torch:some_factories:half", {"clases": 3}, r"'torch:some_factories:half' does not take 'clases'"),
        ("torch:some_factories", {}, r"'torch:some_factories' must be 'torch:package.module:factory'"),
        ("torch:some_factories:half", {"pretrained": True}, r"True is for 'timm:', 'ersm:' and 'comet:' models"),
        ("timm:test_resnet", {"mean": (0.5, 0.5)}, r"mean must be three finite numbers, got \(0.5, 0.5\)"),
        ("timm:test_resnet", {"std": (0.5, 0, 0.5)}, r"std must be three finite numbers above 0, got \(0.5, 0, 0.5\)"),
        ("timm:test_resnet", {"mean": (0, 0, float("nan"))}, r"mean must be three finite numbers"),
        ("timm:test_resnet", {"input_size": 0}, r"input_size must be a positive .* or \(height, width\), got 0"),
        ("timm:test_resnet", {"input_size": (3, 64, 64)}, r"input_size must be a positive .*, got \(3, 64, 64\)"),
        ("timm:test_resnet", {"device": "gpu"}, r"device must be 'auto', 'cpu', 'cuda', .*, got 'gpu'"),
        ("timm:test_resnet", {"device": "meta"}, r"device must be 'auto', 'cpu', 'cuda', .*, got 'meta'"),
        ("timm:test_resnet", {"device": "cuda:99"}, r"device 'cuda:99' is not on this machine, which has \d+ of its"),
    ],
)
def test_a_wrong_value_is_refused(name: str, keywords: dict[str, object], sentence: str, factories: ModuleType) -> None:
    with pytest.raises(InvalidValueError, match=sentence):
        loaded(name, **keywords)


@pytest.mark.parametrize(
    ("name", "keywords", "sentence"),
    [
        (
            "timm:test_vit",
            {"img_size": 64, "embed_dim": 7},
            r"model 'timm:test_vit' could not be built with .*embed_dim=7",
        ),
        ("torch:some_factories:number", {}, r"'torch:some_factories:number' must return a torch.nn.Module, got int"),
        (
            "torch:no_such_package:f",
            {},
            r"'torch:no_such_package:f' cannot be imported: No module named 'no_such_package'; `PYTHONPATH=",
        ),
    ],
)
def test_a_model_that_cannot_be_built_is_refused(
    name: str, keywords: dict[str, object], sentence: str, factories: ModuleType
) -> None:
    with pytest.raises(ModelError, match=sentence):
        loaded(name, **keywords)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("ersm:test_vit", r"\(1, 101, 64\)"), ("ersm:swin_tiny_patch4_window7_224", r"\(1, 7, 7, 768\)")],
)
def test_an_energy_mask_on_a_transformer_is_refused(name: str, shape: str) -> None:
    with pytest.raises(
        UnsupportedError, match=rf"'{name}' cannot carry an energy mask: .* 'ersm:resnet18', .*{shape}$"
    ):
        loaded(name)


def test_a_model_without_a_classifier_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"'timm:vit_small_patch14_dinov2' has no classifier to explain; "):
        loaded("timm:vit_small_patch14_dinov2")


def test_a_wrong_layer_is_refused_at_once() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown layer of ResNet 'layer9'; did you mean 'layer"):
        loaded(layer="layer9")


@pytest.mark.parametrize("keywords", [{"num_classes": 3}, {"pretrained": True}])
def test_a_built_module_takes_no_factory_keywords(keywords: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError, match=r"a module .*, got (num_classes=3|pretrained=True)"):
        loaded(Half(), **keywords)


@pytest.mark.parametrize("keywords", [{"label": "x"}, {"device": "cpu"}])
def test_keywords_for_a_model_that_is_taken_as_it_is_are_refused(keywords: dict[str, str]) -> None:
    with pytest.raises(InvalidValueError, match=r"a VisionModel is taken as it is, got (label='x'|device='cpu')"):
        load_model(loaded(), **keywords)


# Pretrained weights


def test_pretrained_weights_without_a_network_are_refused_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda *_: "https://no-such-hub.invalid/model.safetensors")
    began = time.monotonic()

    with pytest.raises(
        ModelError, match=r"^weights of model 'timm:test_resnet.r160_in1k' could not be downloaded \("
    ) as e:
        load_model("timm:test_resnet.r160_in1k", device="cpu")

    assert time.monotonic() - began < 30
    assert "pass pretrained=False for random weights or checkpoint=PATH for yours" in str(e.value)
    assert isinstance(e.value.__cause__, DOWNLOAD_ERRORS)


def test_a_model_that_has_no_pretrained_weights_says_so() -> None:
    with pytest.raises(ModelError, match=r"timm has no pretrained weights for model 'timm:botnet50ts_256'; pass pretr"):
        load_model("timm:botnet50ts_256", device="cpu")


def test_weights_in_the_local_cache_need_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {
        key: torch.full_like(value, 0.25) for key, value in timm.create_model("test_resnet").state_dict().items()
    }
    save_file(weights, tmp_path / "model.safetensors")
    cached = {"model.safetensors": str(tmp_path / "model.safetensors")}
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda _, file: cached.get(file))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: pytest.fail("reached for the hub"))

    assert load_model("timm:test_resnet", device="cpu").module.fc.weight.unique().tolist() == [0.25]


def test_a_hub_that_answers_is_left_to_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    build = timm.create_model
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: None)
    monkeypatch.setattr(timm, "create_model", lambda name, **options: asked.append(options) or build(name))

    load_model("timm:test_resnet", device="cpu")

    assert asked == [{"pretrained": True}]


# Real weights


@pytest.mark.realset
@pytest.mark.parametrize(
    ("name", "options", "layer"),
    [("mobilenetv2_100", {"pad_type": "same"}, "blocks.6"), ("vit_tiny_patch16_224", {}, "blocks.11.norm1")],
)
def test_real_weights_load_and_know_what_they_see(
    realset: Path, name: str, options: dict[str, str], layer: str
) -> None:
    import json

    from xai_bench.data.image import read_picture

    half = (0.5, 0.5, 0.5)
    weights = realset / "weights" / f"{name}.safetensors"
    model = load_model(f"timm:{name}", checkpoint=weights, mean=half, std=half, device="cpu", **options)
    folder = realset / "imagenet_val"
    records = json.loads((folder / "annotations.json").read_text())[:32]
    pictures = [read_picture(folder / "images" / record["file"]) for record in records]
    squash = Preprocessing(model.input_size)
    images = torch.stack([squash.geometry((p.height, p.width)).picture(p) for p in pictures])

    with torch.no_grad():
        right = model(images).argmax(1) == torch.tensor([record["label"] for record in records])

    assert model.layer == layer
    assert right.float().mean() > 0.6
