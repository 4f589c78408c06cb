"""The trainer of CAMAL: which attention it teaches, what it starts from, and what it refuses."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from xai_bench.adapters import load_model
from xai_bench.adapters.checkpoint import save_model
from xai_bench.data import DATA, knowing, load_data
from xai_bench.data.planted import Planted
from xai_bench.errors import DataError, InvalidValueError, TrainingError, UnknownNameError, UnsupportedError
from xai_bench.ersm import ATTENTION_LOSSES, CamalLoss, attention
from xai_bench.training import Lesson, Start
from xai_bench.training.camal import Camal
from xai_bench.training.kinds import CATALOGUE
from xai_bench.training.plain import Plain
from xai_bench.training.run import train_suite

START = Start(classes=3, size=(32, 32))
LOCAL = {"output_stride": 8, "avg_down": False}


def lesson(size: int = 32) -> Lesson:
    generator = torch.Generator().manual_seed(1)
    regions = torch.zeros(4, size, size, dtype=torch.bool)
    regions[:2, : size // 4, : size // 2], regions[2, size // 2 :] = True, True  # the last has no object
    return Lesson(torch.randn(4, 3, size, size, generator=generator), torch.tensor([0, 1, 2, 0]), regions)


def built(trainer: Camal, start: Start = START) -> nn.Module:
    torch.manual_seed(0)
    module = trainer.build(start).module
    trainer.ready(module)
    return module


def guidance_of(trainer: Camal, module: nn.Module) -> Tensor:
    return trainer.objective(module)(module.eval(), lesson())["guidance"]


def test_the_loss_is_cross_entropy_and_the_term():
    trainer = Camal(loss=CamalLoss(3.0), factory=LOCAL)
    module = built(trainer).eval()
    figures = trainer.objective(module)(module, lesson())
    inputs, labels, regions = lesson()
    maps = attention(module, inputs, labels, "layer4", head="fc").maps
    expected = nn.functional.cross_entropy(module(inputs), labels) + 3 * CamalLoss()(maps, regions)

    torch.testing.assert_close(figures["loss"], expected)
    assert set(figures) == {"loss", "accuracy", "guidance"}


def test_without_its_weight_the_term_leaves_the_plain_loss_and_its_gradients():
    control, plain = Camal(loss=CamalLoss(0)), Plain()
    module = built(control)
    gradients = []
    for trainer in (control, plain):
        module.zero_grad()
        torch.manual_seed(0)
        trainer.objective(module)(module, lesson())["loss"].backward()
        gradients.append([parameter.grad.clone() for parameter in module.parameters()])

    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("form", ["linear", "squared", "energy"])
def test_cam_and_grad_cam_teach_the_same_where_the_head_reads_the_mean(form):
    """Up to what `eps` weighs beside a map that is smaller by the number of cells."""
    ways = [Camal(loss=CamalLoss(form=form, eps=1e-12), attention=way, factory=LOCAL) for way in ("cam", "gradcam")]
    module = built(ways[0])

    assert guidance_of(ways[0], module) > 0
    torch.testing.assert_close(guidance_of(ways[0], module), guidance_of(ways[1], module))


@pytest.mark.parametrize(
    ("backbone", "layer", "head"),
    [("test_resnet", "", "fc"), ("test_resnet", "layer3", ""), ("test_convnext", "", ""), ("test_vit", "", "")],
)
def test_cam_is_taken_where_there_is_one(backbone, layer, head):
    size = 160 if backbone == "test_vit" else 64
    trainer = Camal(backbone=backbone, layer=layer)
    module = built(trainer, START._replace(size=(size, size)))
    found = trainer.look(module, lesson(size).inputs)
    figures = trainer.objective(module)(module, lesson(size))
    figures["loss"].backward()

    assert found.head == head
    assert layer in ("", found.layer)
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters() if parameter.grad is not None)


def test_cam_is_refused_where_the_head_makes_none():
    trainer = Camal(backbone="test_convnext", attention="cam")
    module = built(trainer, START._replace(size=(64, 64)))

    with pytest.raises(UnsupportedError, match=r"linear layer of the mean of layer 'stages.3', which 'test_convnext'"):
        trainer.objective(module)(module, lesson(64))


def test_an_unknown_layer_is_refused_by_the_nearest():
    trainer = Camal(layer="layr4")
    module = built(trainer)

    with pytest.raises(UnknownNameError, match=r"unknown layer of ResNet 'layr4'; did you mean 'layer4'"):
        trainer.objective(module)(module, lesson())


def test_steps_along_the_loss_move_attention_onto_the_object():
    trainer = Camal(factory=LOCAL, loss=CamalLoss(2.0))
    module = built(trainer)
    before = guidance_of(trainer, module)
    module.train()
    objective, optimiser = trainer.objective(module), torch.optim.AdamW(module.parameters(), 1e-3)
    for _ in range(15):
        optimiser.zero_grad()
        objective(module, lesson())["loss"].backward()
        optimiser.step()

    assert guidance_of(trainer, module) < 0.8 * before


def test_the_classifier_can_be_kept():
    plain = Plain().build(START).module.state_dict()
    start = START._replace(backbone=plain)
    kept, new = (built(Camal(backbone_of="plain", classifier=way), start).state_dict() for way in ("kept", "new"))

    assert all(torch.equal(kept[name], plain[name]) for name in plain)
    assert not torch.equal(new["fc.weight"], plain["fc.weight"])


def test_the_classifier_of_a_checkpoint_can_be_kept(tmp_path):
    model = Plain().build(START)
    path = save_model(model, tmp_path / "plain.safetensors", recipe=Plain().keywords(3))
    kept = Camal(checkpoint=str(path), classifier="kept").build(START)

    assert kept.fingerprint == model.fingerprint


def test_inference_costs_what_the_plain_model_costs(tmp_path):
    """The saved model is a plain timm model: the same parameters, the same modules, no hook."""
    trainer = Camal(label="guided")
    model = trainer.build(START)
    trainer.objective(model.module)(model.module, lesson())
    loaded = load_model(save_model(model, tmp_path / "m.safetensors", recipe=trainer.keywords(3)), device="cpu").module
    plain = Plain().build(START).module

    assert [(name, value.shape) for name, value in loaded.named_parameters()] == [
        (name, value.shape) for name, value in plain.named_parameters()
    ]
    assert [type(part) for part in loaded.modules()] == [type(part) for part in plain.modules()]
    assert not any(part._forward_hooks for part in [*model.module.modules(), *loaded.modules()])


@pytest.mark.parametrize("name", ATTENTION_LOSSES)
def test_a_suite_names_its_loss_by_a_table(name):
    trainer = CATALOGUE.build({"name": "camal", "loss": {"name": name, "weight": 2}})

    assert trainer == replace(Camal(), loss=ATTENTION_LOSSES.build({"name": name, "weight": 2.0}))


@pytest.mark.parametrize(
    ("given", "kind", "sentence"),
    [
        ({"loss": {"name": "camal", "weight": -0.1}}, InvalidValueError, "weight of camal must be 0 or more, got -0.1"),
        ({"loss": "caml"}, UnknownNameError, r"unknown attention loss 'caml'; did you mean 'camal'\?"),
        ({"attention": "gradcm"}, UnknownNameError, "unknown attention of trainer camal 'gradcm'"),
        (
            {"label": "mine", "classifier": "kept"},
            InvalidValueError,
            "classifier 'kept' of model 'mine' needs checkpoint or backbone_of, whose classifier it is",
        ),
    ],
)
def test_wrong_parameters_are_refused(given, kind, sentence):
    with pytest.raises(kind, match=sentence):
        CATALOGUE.build({"name": "camal", **given})


def test_lessons_without_regions_are_refused_with_the_names_of_data_that_have_them():
    trainer = Camal()
    module = built(trainer)

    with pytest.raises(
        DataError, match=r"the training data have none; data that may have them: planted, blocks, folder"
    ):
        trainer.objective(module)(module, lesson()._replace(regions=None))


def test_what_data_know_is_what_their_class_says_they_can():
    for name in knowing("labels"):
        if name in ("planted", "blocks"):
            data = load_data(name, n=1)
            assert data.knows <= data.can_know
    assert "picture" not in knowing("regions")
    assert all(kind.can_know for kind in DATA)


SUITE = {
    "data": {"name": "planted", "n": 32, "size": 32},
    "recipe": {"epochs": 1, "batch_size": 16},
    "controls": True,
    "models": [
        {"kind": "plain", "label": "plain"},
        {
            "kind": "camal",
            "label": "guided",
            "backbone_of": "plain",
            "classifier": "kept",
            "loss": {"name": "camal", "form": "squared"},
        },
    ],
}


def test_a_suite_trains_it_with_its_control_from_the_same_plain_model(tmp_path):
    made = {one.label: one for one in train_suite(SUITE, tmp_path, device="cpu", progress=False)}

    assert set(made) == {"plain", "guided", "guided-control"}
    assert made["guided"].figures["guidance"] > made["guided-control"].figures["guidance"] == 0
    assert load_model(made["guided"].path, device="cpu").name == "timm:test_resnet"


def test_a_suite_with_another_loss_does_not_go_on_in_the_same_folder(tmp_path):
    train_suite(SUITE, tmp_path, device="cpu", progress=False)
    plain, guided = SUITE["models"]
    other = {**SUITE, "models": [plain, {**guided, "loss": "l1"}]}

    with pytest.raises(TrainingError, match=r"'guided' with loss 'camal\(.*form=squared.*now it is 'l1\(weight=1\)'"):
        train_suite(other, tmp_path, device="cpu", progress=False)


def test_a_suite_on_data_without_regions_is_refused_with_names(tmp_path):
    class Unmasked(Planted):
        @property
        def knows(self) -> frozenset[str]:
            return frozenset({"labels"})

    data = Unmasked(split="train", n=32)
    with pytest.raises(DataError, match=r"and it has none; data that may have them: planted, blocks, folder"):
        train_suite({**SUITE, "data": data}, tmp_path, progress=False)
