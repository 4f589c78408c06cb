"""A train suite carried out: files that load alone, a second start that trains what is missing, refusals."""

import csv
import sys
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from xai_bench.adapters import load_model
from xai_bench.adapters.checkpoint import read_training
from xai_bench.cli import main
from xai_bench.data import load_data
from xai_bench.errors import XaiBenchError
from xai_bench.lock import Lock
from xai_bench.training import TRAINERS, CollapseWarning, run, train_suite

SUITE = {
    "device": "cpu",
    "data": {"name": "planted", "n": 24, "size": 32},
    "held_out": {"name": "planted", "n": 16},
    "recipe": {"epochs": 2, "batch_size": 8},
    "models": [
        {"kind": "plain", "factory": {"output_stride": 8}},
        {"kind": "ersm", "backbone_of": "plain", "mode": "stable", "recipe": {"preset": "ersm_quick"}},
    ],
}


def trained(folder, **changed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        return train_suite({**SUITE, **changed}, folder, progress=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("trained"))


def test_every_file_loads_alone_and_is_the_model_that_was_scored(made):
    data = load_data("planted", split="test", n=16, size=32, batch_size=16)
    batch = next(iter(data))
    for one in made:
        model = load_model(one.path, device="cpu")
        with torch.inference_mode():
            right = (model(batch.images).argmax(1) == batch.labels).float().mean().item()

        assert one.held_out == {"planted/test": pytest.approx(right)}
        assert model.input_size == (32, 32)
    assert [one.path.name for one in made] == ["plain-seed0.safetensors", "ersm-seed0.safetensors"]


def test_both_share_the_backbone(made):
    plain, ersm = (load_file(one.path) for one in made)

    assert all(torch.equal(value, plain[name[9:]]) for name, value in ersm.items() if name.startswith("backbone."))


def test_a_file_says_how_it_was_trained(made):
    facts = read_training(made[1].path)

    assert facts["configuration"]["kind"] == "ersm"
    assert facts["configuration"]["recipe"]["epochs"] == 2
    assert facts["configuration"]["data"].startswith("planted(split=train,n=24")
    assert facts["seed"] == 0
    assert len(facts["epochs"]) == 2
    assert {"torch", "timm", "xai-bench"} <= facts["versions"].keys()


def test_the_history_has_a_line_for_every_epoch(made):
    with (made[0].path.parent / "history.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))

    assert [(line["model"], line["epoch"]) for line in lines] == [
        ("ersm", "1"), ("ersm", "2"), ("plain", "1"), ("plain", "2"),
    ]  # fmt: skip
    assert [bool(line["keep"]) for line in lines] == [True, True, False, False]
    assert {line["collapsed"] for line in lines if line["model"] == "ersm"} <= {"True", "False"}
    assert all(float(line["loss"]) > 0 and float(line["lr"]) > 0 for line in lines)


def test_a_second_start_trains_only_what_is_missing(made, tmp_path, monkeypatch):
    again = trained(tmp_path)
    before = {one.path: one.path.read_bytes() for one in again}
    seeds = []
    real = run.train
    monkeypatch.setattr(run, "train", lambda *of, **given: seeds.append(of[2].seed) or real(*of, **given))
    more = trained(tmp_path, seeds=[0, 1])

    assert seeds == [1, 1]
    assert len(more) == 4
    assert all(path.read_bytes() == content for path, content in before.items())
    assert not torch.equal(*(load_file(one.path)["conv1.0.weight"] for one in more[::2]))
    assert all(torch.equal(a, b) for a, b in zip(*(load_file(x[0].path).values() for x in (made, again)), strict=True))


def test_held_out_data_that_come_later_are_scored_without_training(made, monkeypatch):
    monkeypatch.setattr(run, "train", None)
    shifted = {"name": "planted", "split": "shifted", "n": 16}
    before = load_file(made[0].path)
    again = trained(made[0].path.parent, held_out=[SUITE["held_out"], shifted])

    assert [list(one.held_out) for one in again] == [["planted/test", "planted/shifted"]] * 2
    assert all(torch.equal(value, before[name]) for name, value in load_file(made[0].path).items())


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"data": {**SUITE["data"], "n": 32}}, "with data 'planted.split=train,n=24,seed=0.', and now it is 'planted"),
        ({"recipe": {"epochs": 3, "batch_size": 8}}, "holds a model 'plain' with recipe.epochs 2, and now it is 3"),
        ({"models": [{**SUITE["models"][0], "backbone": "test_resnet"}, {**SUITE["models"][1], "start": 0.5}]},
         "holds a model 'ersm' with start None, and now it is 0.5; choose another --out, or give the model another"),
        ({"seeds": [5], "recipe": {"epochs": 3, "batch_size": 8}}, "with recipe.epochs 2, and now it is 3"),
    ],
)  # fmt: skip
def test_another_configuration_is_refused_and_named(made, changed, sentence):
    before = {path: path.read_bytes() for path in made[0].path.parent.iterdir()}
    with pytest.raises(XaiBenchError, match=sentence):
        trained(made[0].path.parent, **changed)

    assert {path: path.read_bytes() for path in made[0].path.parent.iterdir()} == before


def test_one_that_was_only_begun_is_refused_too(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run.Folder, "finish", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path)
    monkeypatch.undo()

    assert [path.name for path in (tmp_path / "begun").iterdir()] == ["plain-seed0.safetensors"]
    with pytest.raises(XaiBenchError, match=r"with recipe\.epochs 2, and now it is 3"):
        trained(tmp_path, recipe={"epochs": 3, "batch_size": 8})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"recipe": {"batch_size": 32}}, "batch_size of model 'plain' must be at most the number of images, 24"),
        ({"held_out": {"name": "planted", "classes": ["ring", "cross"]}}, "have other classes than 'planted/train': "),
        ({"held_out": [SUITE["held_out"]] * 2}, "held_out names a data set twice"),
        ({"models": [*SUITE["models"], {"kind": "ersm", "label": "vit", "backbone": "test_vit"}],
          "data": {"name": "planted", "n": 24, "size": 160}}, "needs a convolutional backbone"),
        ({"models": [{"kind": "ersm", "patch_size": 3}]}, "cannot be cut into patches of patch_size 3"),
        ({"models": [{"kind": "plain", "checkpoint": "nowhere.safetensors"}]}, "'nowhere.safetensors' does not exist"),
        ({"models": [{"kind": "plain", "backbone": "test_resnett"}]}, "unknown model 'timm:test_resnett'; did"),
        ({"models": [{"kind": "plain"}, {"kind": "camal", "layer": "nope"}]}, "'nope'"),
        ({"models": [{"kind": "plain", "factory": {"in_chans": 4}}]}, "takes 4 channels; it must take 3, RGB, or 1"),
        ({"models": [{"kind": "plain", "factory": {"global_pool": ""}}]}, "model 'plain' cannot be trained on images"),
        ({"device": "cuda:7"}, "device 'cuda:7' is not on this machine"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused_before_anything_is(tmp_path, monkeypatch, changed, sentence):
    monkeypatch.setattr(run, "train", None)
    with pytest.raises(XaiBenchError, match=sentence):
        trained(tmp_path, **changed)

    assert list(tmp_path.iterdir()) == []


def test_every_kind_can_stand_in_a_suite(tmp_path):
    """CAMAL goes on with a classifier, COMET is watched by one, HiT has a backbone of its own."""
    models = [
        {"kind": "plain"},
        {"kind": "camal", "backbone_of": "plain", "classifier": "kept", "loss": {"name": "camal", "weight": 0.5}},
        {"kind": "comet", "backbone_of": "plain", "selector_width": 4},
        {"kind": "hit", "patch_size": 8, "dim": 16, "depths": [1], "heads": 1},
    ]
    found = trained(tmp_path, models=models, recipe={"epochs": 1, "batch_size": 12, "augment": "light"})
    again = trained(tmp_path, models=models, recipe={"epochs": 1, "batch_size": 12, "augment": "light"})

    assert {row.split(",")[0] for row in (tmp_path / "history.csv").read_text().splitlines()[1:]} == {
        "plain", "camal", "comet", "hit",
    }  # fmt: skip
    assert again == found
    assert all(load_model(one.path, device="cpu").label == one.path.stem for one in found)


@pytest.mark.parametrize("name", [entry.card.name for entry in TRAINERS])
def test_every_kind_stands_in_the_suites_tests(name):
    assert f'"kind": "{name}"' in Path(__file__).read_text(encoding="utf-8")


def test_half_precision_changes_weights_but_not_their_type(tmp_path):
    models = [{"kind": "ersm", "mode": "stable"}]
    rough = trained(tmp_path / "rough", models=models, recipe={"epochs": 1, "batch_size": 12, "precision": "bf16"})
    exact = trained(tmp_path / "exact", models=models, recipe={"epochs": 1, "batch_size": 12})
    ours, theirs = (load_file(of[0].path) for of in (rough, exact))

    assert {value.dtype for value in ours.values()} == {value.dtype for value in theirs.values()}
    assert not torch.equal(ours["head.weight"], theirs["head.weight"])
    assert torch.allclose(ours["head.weight"], theirs["head.weight"], atol=5e-3)


def test_a_folder_in_use_is_refused(tmp_path):
    lock = Lock(tmp_path)
    try:
        with pytest.raises(XaiBenchError, match=r"training folder .* is in use by process"):
            trained(tmp_path)
    finally:
        lock.release()


def test_the_command_prints_a_table_and_refuses_in_one_sentence(tmp_path, monkeypatch, capsys):
    suite = '[data]\nname = "planted"\nn = 8\nsize = 32\n[recipe]\nepochs = 1\n[[models]]\nkind = "plain"\n'
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["xai-bench", "train", "tiny.toml", "--out", "out", "--device", "cpu", "--quiet"])
    Path("tiny.toml").write_text(suite.replace("epochs", "batch_size = 8\nepochs"))
    main()
    first = capsys.readouterr()
    Path("tiny.toml").write_text(suite.replace("epochs = 1", "batch_size = 8\nepochs = 2"))
    with pytest.raises(SystemExit) as refused:
        main()
    second = capsys.readouterr()

    assert first.out.split()[:4] == ["model", "seed", "loss", "accuracy"]
    assert first.err.strip() == "written: out"
    assert refused.value.code == 2
    assert second.err.startswith("error: 'out' holds a model 'plain' with recipe.epochs 1, and now it is 2; choose ano")
    assert second.err.count("\n") == 1
