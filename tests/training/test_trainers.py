"""What holds for every kind of model that can be trained, and what plain and ERSM say of themselves."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from xai_bench.adapters import load_model
from xai_bench.adapters.checkpoint import save_model
from xai_bench.errors import InvalidValueError, ModelError, UnknownNameError, UnsupportedError
from xai_bench.training import TRAINERS, Lesson, Start
from xai_bench.training.ersm import Ersm
from xai_bench.training.kinds import CATALOGUE
from xai_bench.training.plain import Plain

START = Start(classes=3, size=(32, 32))
NAMES = [entry.card.name for entry in TRAINERS]


def built(name: str, seed: int = 0, start: Start = START, **fields: object):
    if name == "comet" and "backbone_of" not in fields:  # its detector is a trained classifier
        start = start._replace(backbone=built("plain", seed=9, start=start)[1].module.state_dict())
        fields["backbone_of"] = "plain"
    torch.manual_seed(seed)
    trainer = CATALOGUE.build({"name": name, **fields})
    return trainer, trainer.build(start)


def lesson(features: bool, module: nn.Module, trainer) -> Lesson:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(4, 3, 32, 32, generator=generator)
    regions = torch.zeros(4, 32, 32, dtype=torch.bool)
    regions[:, 8:24, 8:24] = True
    if features:
        with torch.no_grad():
            inputs = trainer.features(module)(inputs)
    return Lesson(inputs, torch.tensor([0, 1, 2, 0]), regions)


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_a_scalar_that_moves_only_what_learns(name):
    trainer, model = built(name)
    trainer.ready(model.module)
    given = lesson(trainer.features(model.module) is not None, model.module, trainer)
    figures = trainer.objective(model.module)(model.module, given)
    figures["loss"].backward()
    learns = {key for key, value in model.module.named_parameters() if value.requires_grad}
    moved = {key for key, value in model.module.named_parameters() if value.grad is not None}

    assert {value.shape for value in figures.values()} == {()}
    assert moved == learns


def test_a_mask_in_the_middle_learns_through_the_rest_of_the_backbone(tmp_path):
    trainer, model = built("ersm", mode="stable", stage="layer3")
    trainer.ready(model.module)
    given = lesson(True, model.module, trainer)
    trainer.objective(model.module)(model.module, given)["loss"].backward()
    path = save_model(model, tmp_path / "m.safetensors", recipe=trainer.keywords(3))

    assert {key for key, value in model.module.named_parameters() if value.grad is not None} == {
        "mask.weight", "mask.bias", "head.weight", "head.bias",
    }  # fmt: skip
    assert load_model(path).fingerprint == model.fingerprint
    assert model.module.last_map != "masked"


@pytest.mark.parametrize("name", NAMES)
def test_first_weights_are_those_of_the_seed(name):
    one, same, other = (built(name, seed)[1].fingerprint for seed in (0, 0, 1))

    assert one == same != other


@pytest.mark.parametrize("name", NAMES)
def test_saved_with_its_keywords_a_model_loads_alone(name, tmp_path):
    trainer, model = built(name)
    images = torch.rand(2, 3, 32, 32)
    path = save_model(model, tmp_path / "model.safetensors", recipe=trainer.keywords(3))

    with torch.inference_mode():
        assert torch.equal(load_model(path, device="cpu")(images), model(images))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "hit"])  # which has no backbone of timm's
def test_a_shared_backbone_is_taken_and_the_head_is_drawn(name):
    _, plain = built("plain", seed=7)
    trainer, model = built(name, start=START._replace(backbone=plain.module.state_dict()), backbone_of="plain")
    trunk, given = trainer.trunk(model.module).state_dict(), plain.module.state_dict()

    assert all(torch.equal(trunk[key], given[key]) for key in trunk if not key.startswith("fc."))
    assert trainer.backbone_of == "plain"
    assert not torch.equal(trunk.get("fc.weight", torch.zeros(())), given["fc.weight"])


def test_a_checkpoint_gives_the_backbone_whatever_its_classes(tmp_path):
    _, other = built("plain", seed=7, start=START._replace(classes=5))
    path = save_model(other, tmp_path / "five.safetensors", recipe={"name": "timm:test_resnet", "num_classes": 5})
    _, model = built("ersm", checkpoint=str(path))

    assert torch.equal(model.module.backbone.conv1[0].weight, other.module.conv1[0].weight)
    assert len(model.module.head.bias) == 3


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    _, other = built("plain")
    path = save_model(other, tmp_path / "resnet.safetensors", recipe={"name": "timm:test_resnet"})
    with pytest.raises(ModelError, match=r"resnet.safetensors' does not fit model 'timm:test_convnext'"):
        built("plain", backbone="test_convnext", checkpoint=str(path))


def test_frozen_features_give_the_same_loss_as_the_whole_model():
    for trainer in (Plain(finetune=False), Ersm(mode="stable"), Ersm(mode="stable", stage="layer2")):
        torch.manual_seed(0)
        module = trainer.build(START).module
        trainer.ready(module)
        free = replace(trainer, finetune=True)
        figures = trainer.objective(module)(module, lesson(True, module, trainer))
        whole = free.objective(module)(module, lesson(False, module, trainer))

        assert figures["loss"].item() == pytest.approx(whole["loss"].item(), rel=1e-6)


@pytest.mark.parametrize(
    ("backbone", "drift"), [("test_convnext", False), ("test_convnext", True), ("mobilenetv3_small_050", True)]
)
def test_a_linear_head_is_the_published_baseline_on_any_backbone(backbone, drift, tmp_path):
    """Logits, loss and gradients are those of global average pooling and a linear layer, to the last bit."""
    trainer, model = built("plain", backbone=backbone, finetune=False, head="linear", drift=drift)
    module = model.module
    trainer.ready(module)
    given = lesson(True, module, trainer)
    pooled, labels = given.inputs.mean((2, 3)), given.labels
    logits = nn.functional.linear(pooled, module.head.weight, module.head.bias)
    wanted = torch.autograd.grad(nn.functional.cross_entropy(logits, labels), list(module.head.parameters()))
    figures = trainer.objective(module)(module, given)
    figures["loss"].backward()
    path = save_model(model, tmp_path / "m.safetensors", recipe=trainer.keywords(3))

    assert torch.equal(module.classify(given.inputs)[0], logits)
    assert figures.keys() == {"loss", "accuracy"}
    assert {key for key, value in module.named_parameters() if value.requires_grad} == {"head.weight", "head.bias"}
    assert all(torch.equal(one.grad, other) for one, other in zip(module.head.parameters(), wanted, strict=True))
    assert all(part.training is drift for part in module.backbone.modules())
    assert load_model(path).fingerprint == model.fingerprint


def test_timms_own_head_of_a_convnext_is_another_model():
    trainer, model = built("plain", backbone="test_convnext", finetune=False)
    trainer.ready(model.module)
    features = lesson(True, model.module, trainer).inputs
    fc = model.module.get_classifier()

    assert not torch.allclose(model.module.forward_head(features), fc(features.mean((2, 3))), atol=1e-3)
    assert {key for key, value in model.module.named_parameters() if value.requires_grad} == {
        "head.fc.weight", "head.fc.bias",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("trainer", "learns", "drifts"),
    [
        (Plain(), True, True),
        (Plain(finetune=False), False, False),
        (Plain(finetune=False, drift=True), False, True),
        (Ersm(), False, True),
        (Ersm(mode="stable"), False, False),
        (Ersm(mode="stable", stage=-2), False, False),
        (Ersm(mode="stable", finetune=True), True, False),
    ],
)
def test_which_backbones_learn_and_which_drift(trainer, learns, drifts):
    module = trainer.build(START).module
    trainer.ready(module)
    trunk = trainer.trunk(module)

    assert trunk.conv1[0].weight.requires_grad is learns
    assert trunk.bn1.training is drifts


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"name": "esrm"}, UnknownNameError, "unknown trainer 'esrm'; did you mean 'ersm'?"),
        ({"name": "ersm", "lamda": 1}, UnknownNameError, "unknown key of trainer ersm 'lamda'"),
        ({"name": "ersm", "unary_weight": -1}, InvalidValueError, "unary_weight must be 0 or more, got -1"),
        (
            {"name": "plain", "head": "linear"},
            InvalidValueError,
            "head 'linear' of model 'plain' stands on a frozen back",
        ),
        ({"name": "ersm", "mode": "stabel"}, UnknownNameError, "unknown mode of trainer ersm 'stabel'"),
        (
            {"name": "plain", "label": "x", "pretrained": True, "backbone_of": "y"},
            InvalidValueError,
            "pretrained and backbone_of of model 'x' all say where its backbone's weights come from; give one",
        ),
    ],
)
def test_wrong_parameters_are_refused_before_training(given, kind, message):
    with pytest.raises(kind, match=message):
        CATALOGUE.build(given)


def test_a_backbone_without_a_feature_map_is_refused_for_ersm():
    with pytest.raises(UnsupportedError, match="needs a convolutional backbone"):
        Ersm(backbone="test_vit").build(Start(3, (160, 160)))
