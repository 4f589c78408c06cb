"""Checkpoints: weights and nothing else, key by key, and models that know how to be loaded."""

import json
import os
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from xai_bench.adapters import Preprocessing, VisionModel, load_model, save_model
from xai_bench.errors import InvalidValueError, ModelError

NAME = "timm:test_resnet"
RECIPE = {"name": NAME, "num_classes": 3}
HALF = (0.5, 0.5, 0.5)


def with_checkpoint(path: Path, **keywords: object) -> VisionModel:
    return load_model(NAME, checkpoint=path, device="cpu", **({"num_classes": 3} | keywords))  # type: ignore[arg-type]


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(3)
    return timm.create_model("test_resnet", num_classes=3).eval()


def same(model: VisionModel, module: nn.Module) -> bool:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return torch.allclose(model(images), module(model.normalise(images)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_a_torch_file_loads_out_of_its_wrapper(
    tmp_path: Path, module: nn.Module, wrapper: str | None, prefix: str
) -> None:
    weights = {prefix + key: value for key, value in module.state_dict().items()}
    torch.save({wrapper: weights, "epoch": 3} if wrapper else weights, tmp_path / "w.pth")

    assert same(with_checkpoint(tmp_path / "w.pth"), module)


def test_a_safetensors_file_loads(tmp_path: Path, module: nn.Module) -> None:
    save_file(module.state_dict(), tmp_path / "w.safetensors")

    assert same(with_checkpoint(tmp_path / "w.safetensors"), module)


def test_half_precision_weights_become_float32(tmp_path: Path, module: nn.Module) -> None:
    save_file(module.half().state_dict(), tmp_path / "w.safetensors")

    assert with_checkpoint(tmp_path / "w.safetensors").module.fc.weight.dtype == torch.float32


def test_weights_that_are_not_finite_load(tmp_path: Path, module: nn.Module) -> None:
    module.fc.weight.data.fill_(float("nan"))
    save_file(module.state_dict(), tmp_path / "w.safetensors")

    assert with_checkpoint(tmp_path / "w.safetensors").module.fc.weight.isnan().all()


def test_counters_of_batch_norms_may_be_missing(tmp_path: Path, module: nn.Module) -> None:
    weights = {key: value for key, value in module.state_dict().items() if "num_batches" not in key}
    save_file(weights, tmp_path / "w.safetensors")

    assert same(with_checkpoint(tmp_path / "w.safetensors"), module)


def test_another_number_of_classes_is_named(tmp_path: Path, module: nn.Module) -> None:
    save_file(module.state_dict(), tmp_path / "w.safetensors")
    sentence = (
        r"checkpoint '.*w.safetensors' does not fit model 'timm:test_resnet': 0 missing, 0 unexpected, "
        r"2 of another shape \(fc.weight \(3, 512\) for \(9, 512\), fc.bias \(3,\) for \(9,\)\); "
        r"the checkpoint has 3 classes and the model 9: pass num_classes=3$"
    ).replace("512", str(module.num_features))

    with pytest.raises(ModelError, match=sentence):
        with_checkpoint(tmp_path / "w.safetensors", num_classes=9)


def test_missing_and_unexpected_keys_are_counted_and_matched(tmp_path: Path, module: nn.Module) -> None:
    weights = module.state_dict()
    for new, old in (("fc.weights", "fc.weight"), ("a", "bn1.bias"), ("b", "bn1.weight"), ("c", "fc.bias")):
        weights[new] = weights.pop(old)
    save_file(dict(weights), tmp_path / "w.safetensors")

    with pytest.raises(
        ModelError, match=r"4 missing \(bn1\.weight, bn1\.bias, fc\.weight, \.\.\.\), 4 unexpected \(a, b, c, "
    ):
        with_checkpoint(tmp_path / "w.safetensors")


def test_a_key_of_nearly_the_same_name_is_offered(tmp_path: Path, module: nn.Module) -> None:
    weights = module.state_dict()
    weights["fc.weights"] = weights.pop("fc.weight")
    save_file(dict(weights), tmp_path / "w.safetensors")

    with pytest.raises(ModelError, match=r"is 'fc.weights' meant for 'fc.weight'\?$"):
        with_checkpoint(tmp_path / "w.safetensors")


def test_a_checkpoint_that_does_not_fit_changes_nothing(tmp_path: Path, module: nn.Module) -> None:
    save_file({"conv1.weight": torch.zeros_like(module.state_dict()["conv1.0.weight"])}, tmp_path / "w.safetensors")
    before = {key: value.clone() for key, value in module.state_dict().items()}

    with pytest.raises(ModelError):
        load_model(module, checkpoint=tmp_path / "w.safetensors")

    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("hacked",)


@pytest.mark.parametrize("content", [{"a": Evil()}, nn.Linear(2, 2)])
def test_a_pickle_that_wants_code_is_refused(tmp_path: Path, content: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, "w.pth")

    with pytest.raises(ModelError, match=r"'w.pth' is refused: it wants to run code \((posix.mkdir|torch.*Linear)\); "):
        with_checkpoint(Path("w.pth"))

    assert not Path("hacked").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken", b"\x80\x02}q\x00."])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ModelError, match=rf"checkpoint '.*{name}' cannot be read as (weights|safetensors)"):
        with_checkpoint(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "got"), [([1, 2], "a list"), ({"epoch": 3}, "a table with 'epoch'"), ({}, "an empty table")]
)
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: object, got: str) -> None:
    torch.save(content, tmp_path / "w.pth")

    with pytest.raises(ModelError, match=rf"must hold a state_dict, by itself or as one of .*got {got}$"):
        with_checkpoint(tmp_path / "w.pth")


def test_a_missing_file_is_answered_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "weights_final.pth").write_bytes(b"")

    with pytest.raises(ModelError, match=r"weights_finl.pth' does not exist; did you mean '.*weights_final.pth'\?$"):
        with_checkpoint(tmp_path / "weights_finl.pth")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [("w.pth", "does not exist; and no file there has a name like it$"), ("no/w.pth", "does not exist, nor does its")],
)
def test_a_missing_file_like_no_other_is_refused(tmp_path: Path, path: str, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        with_checkpoint(tmp_path / path)


# Checkpoints that say what they are


@pytest.fixture
def written(tmp_path: Path) -> tuple[VisionModel, Path]:
    torch.manual_seed(0)
    half = (0.5, 0.5, 0.5)
    model = load_model(NAME, pretrained=False, num_classes=3, input_size=64, mean=half, std=half, device="cpu")
    model.preprocessing = Preprocessing((64, 64), mode="squash", interpolation="bilinear")
    return model, save_model(model, tmp_path / "new" / "plain.safetensors", recipe=RECIPE)


@pytest.mark.parametrize("prefix", ["", "checkpoint:"])
def test_a_saved_model_loads_without_being_named(written: tuple[VisionModel, Path], prefix: str) -> None:
    model, path = written

    again = load_model(f"{prefix}{path}", device="cpu")

    assert again.fingerprint == model.fingerprint  # weights, colours and preprocessing
    assert (again.name, again.label) == (NAME, "plain")
    assert same(again, model.module)


def test_what_no_weight_shows_is_in_the_fingerprint() -> None:
    """The same weights mask otherwise at another temperature, and cost another energy."""
    found = set()
    for changed in ({}, {"temperature": 2.0}, {"unary_weight": 0.5}, {"pairwise_weight": 0.5}):
        torch.manual_seed(0)
        options = {"num_classes": 3, "mode": "stable"} | changed
        model = load_model("ersm:test_resnet", pretrained=False, input_size=64, device="cpu", **options)
        found.add(model.fingerprint)

    assert len(found) == 4


@pytest.mark.parametrize("stage", [{}, {"stage": "layer2"}, {"stage": 1}], ids=["published", "named", "counted"])
def test_a_saved_energy_mask_comes_back(tmp_path: Path, stage: dict[str, object]) -> None:
    options = {"num_classes": 3, "mode": "stable", "temperature": 2.0, "output_stride": 8} | stage
    model = load_model("ersm:test_resnet", pretrained=False, input_size=64, device="cpu", **options)
    path = save_model(model, tmp_path / "ersm.safetensors", recipe={"name": "ersm:test_resnet"} | options)

    again = load_model(path, device="cpu")

    assert again.fingerprint == model.fingerprint
    assert (again.energy_mask.temperature, again.energy_mask.mode) == (2.0, "stable")
    assert same(again, model.module)


def test_what_is_said_wins_over_the_recipe(written: tuple[VisionModel, Path]) -> None:
    again = load_model(written[1], device="cpu", label="mine", input_size=96, layer="layer2")

    assert (again.label, again.input_size, again.layer) == ("mine", (96, 96), "layer2")


def test_a_saved_model_is_also_a_plain_checkpoint(written: tuple[VisionModel, Path]) -> None:
    assert same(with_checkpoint(written[1]), written[0].module)


def test_saving_leaves_one_file(written: tuple[VisionModel, Path]) -> None:
    assert [file.name for file in written[1].parent.iterdir()] == ["plain.safetensors"]


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [({"num_classes": 3}, r"recipe needs the name"), (RECIPE | {"x": object()}, r"recipe must hold numbers, words, ")],
)
def test_a_recipe_that_cannot_be_read_again_is_refused(
    tmp_path: Path, module: nn.Module, recipe: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidValueError, match=sentence):
        save_model(load_model(module, device="cpu"), tmp_path / "w.safetensors", recipe=recipe)

    assert not list(tmp_path.iterdir())


def test_a_checkpoint_without_a_recipe_asks_for_a_name(tmp_path: Path, module: nn.Module) -> None:
    save_file(module.state_dict(), tmp_path / "w.safetensors")

    with pytest.raises(ModelError, match=r"does not say which model it is for; name the model and give it as"):
        load_model(tmp_path / "w.safetensors")


def test_a_recipe_that_names_code_is_refused(tmp_path: Path) -> None:
    text = json.dumps({"keywords": {"name": "torch:os:mkdir", "path": "hacked"}, "preprocessing": {}})
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors", metadata={"xai_bench": text})

    with pytest.raises(ModelError, match=r"is refused: it names code to run, 'torch:os:mkdir'; to trust it, name that"):
        load_model(tmp_path / "w.safetensors")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"keywords": {}, "preprocessing": {}}'])
def test_a_damaged_recipe_is_refused(tmp_path: Path, text: str) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors", metadata={"xai_bench": text})

    with pytest.raises(ModelError, match=r"carries a recipe that cannot be read: "):
        load_model(tmp_path / "w.safetensors")


@pytest.mark.parametrize("keywords", [{"pretrained": True}, {"checkpoint": "other.pth"}])
def test_a_checkpoint_brings_its_own_weights(written: tuple[VisionModel, Path], keywords: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError, match=r"plain.safetensors' brings its own weights; leave out pretrained"):
        load_model(written[1], **keywords)  # type: ignore[arg-type]


def test_a_name_that_is_not_there_is_answered_with_the_nearest_file(written: tuple[VisionModel, Path]) -> None:
    with pytest.raises(ModelError, match=r"plan.safetensors' does not exist; did you mean '.*plain.safetensors'\?$"):
        load_model(str(written[1].with_name("plan.safetensors")))


def test_a_text_file_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "garbage.pth"
    path.write_text("hello, these are no weights\n")

    with pytest.raises(ModelError, match="cannot be read as weights"):
        with_checkpoint(path)


def test_another_activation_or_target_layer_is_another_model() -> None:
    def built(activation: nn.Module, layer: str | None = None) -> str:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), activation, nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return VisionModel(
            net, name="net", mean=HALF, std=HALF, preprocessing=Preprocessing((16, 16)), layer=layer
        ).fingerprint

    assert built(nn.ReLU()) == built(nn.ReLU())
    assert len({built(nn.ReLU()), built(nn.Tanh()), built(nn.ReLU(), "0"), built(nn.LeakyReLU(0.1))}) == 4
