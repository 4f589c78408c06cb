"""Train suites: read, put in order, filled in; every slip is named with its nearest match."""

import pytest

from xai_bench.data import Preprocessing, load_data
from xai_bench.errors import XaiBenchError
from xai_bench.training import PRESETS, TrainSet, TrainSuite
from xai_bench.training.ersm import Ersm

GOOD = {
    "data": {"name": "planted", "n": 40, "size": 32},
    "held_out": [{"name": "planted", "n": 8}, {"name": "planted", "split": "shifted", "n": 8}],
    "recipe": {"batch_size": 8},
    "models": [
        {"kind": "ersm", "backbone_of": "base", "unary_weight": 0.1, "recipe": {"epochs": 2}},
        {"kind": "plain", "label": "base", "factory": {"output_stride": 8}, "recipe": {"preset": "scratch"}},
    ],
}


def changed(**given):
    return {**GOOD, **given}


def with_model(**given):
    return changed(models=[{"kind": "plain", **given}])


def test_each_model_stands_after_the_one_whose_backbone_it_takes():
    base, ersm = TrainSuite.of(GOOD).models

    assert (base.label, ersm.label) == ("base", "ersm")
    assert ersm.trainer == Ersm(
        label="ersm", backbone_of="base", unary_weight=0.1, backbone="test_resnet", factory={"output_stride": 8}
    )
    assert (ersm.recipe.epochs, ersm.recipe.batch_size, ersm.recipe.augment) == (2, 8, PRESETS["ersm"].augment)
    assert (base.recipe.lr, base.recipe.batch_size) == (PRESETS["scratch"].lr, 8)


def test_data_are_of_the_split_and_size_that_are_meant():
    suite = TrainSuite.of(GOOD)
    data, (test, shifted) = suite.load(suite.data), map(suite.load, suite.held_out)

    assert [one.name for one in (data, test, shifted)] == ["planted/train", "planted/test", "planted/shifted"]
    assert {one.preprocessing for one in (data, test, shifted)} == {Preprocessing((32, 32))}


@pytest.mark.parametrize("size", [32, 48])
def test_a_suite_of_a_loaded_data_set_trains_at_its_size(size):
    data = load_data("planted", n=8, size=size)
    models = TrainSuite.of(GOOD).models
    suite = TrainSuite(models, TrainSet(data), held_out=(TrainSet("planted", "test", n=8), TrainSet(data)))

    assert suite.load(suite.data) is data
    assert {suite.load(one).preprocessing for one in suite.held_out} == {data.preprocessing}


def test_a_suite_built_in_python_sees_what_its_table_does():
    models = TrainSuite.of(GOOD).models
    drawn, pictures = TrainSuite(models, TrainSet("planted", n=8)), TrainSuite(models, TrainSet("folder", "test"))

    assert drawn.load(drawn.data).preprocessing.size == (64, 64)
    assert pictures.images == TrainSuite.of(changed(data={"name": "folder", "path": "x"}, held_out=[])).images


def test_pictures_are_seen_as_published_unless_told_otherwise():
    pictures = changed(data={"name": "folder", "path": "x"}, held_out=[])

    assert TrainSuite.of(pictures).images == Preprocessing((224, 224), "crop", 1 / 1.14, "bilinear")
    assert TrainSuite.of(pictures | {"images": {"size": 448, "mode": "squash"}}).images == Preprocessing(
        (448, 448), "squash", 1 / 1.14, "bilinear"
    )
    assert PRESETS["ersm"].batch_size == 32


def test_controls_train_the_mask_without_its_energy():
    labels = {entry.label: entry.trainer for entry in TrainSuite.of(changed(controls=True)).models}

    assert list(labels) == ["base", "ersm", "ersm-no_energy", "ersm-no_pairwise"]
    assert (labels["ersm-no_energy"].unary_weight, labels["ersm-no_energy"].pairwise_weight) == (0, 0)
    assert (labels["ersm-no_pairwise"].unary_weight, labels["ersm-no_pairwise"].pairwise_weight) == (0.1, 0)


def test_a_suite_is_read_with_paths_from_its_folder(tmp_path):
    (tmp_path / "suite.toml").write_text(
        '[data]\nname = "folder"\npath = "pictures"\n[[models]]\nkind = "plain"\ncheckpoint = "w.safetensors"\n'
    )
    suite = TrainSuite.read(tmp_path / "suite.toml")

    assert suite.models[0].trainer.checkpoint == str(tmp_path / "w.safetensors")
    assert dict(suite.data.options)["path"] == str(tmp_path / "pictures")
    with pytest.raises(XaiBenchError, match=r"unknown train suite file 'suit.toml'; did you mean 'suite.toml'\?"):
        TrainSuite.read(tmp_path / "suit.toml")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (changed(sedes=[1]), "unknown key of a train suite 'sedes'; did you mean 'seeds'"),
        (changed(models=[]), "a train suite needs at least one table in 'models'"),
        ({"models": GOOD["models"]}, "a train suite needs a table 'data'"),
        (changed(seeds=[1, 1]), r"seeds of a train suite must be different whole numbers, got \[1, 1\]"),
        (changed(controls=1), "controls of a train suite must be true or false, got 1"),
        (changed(workers=-1), "workers of a train suite must be a whole number from 0, got -1"),
        (changed(images={"sise": 3}), "unknown key of images 'sise'; did you mean 'size'?"),
        (changed(images={"size": 64}), "give size in data or in images, not both, got 32 and 64"),
        (changed(recipe={"epoch": 3}), "unknown key of training recipe 'epoch'; did you mean 'epochs'?"),
        (changed(data={"name": "plantd"}), "unknown dataset 'plantd'; did you mean 'planted'?"),
        (changed(held_out={"name": "planted", "size": 32}), "size of held-out data is that of the data"),
        (changed(models=[{"label": "x"}]), r"each table in .models. of a train suite needs a kind \(plain, ersm"),
        (with_model(kind="esrm"), "unknown trainer 'esrm'; did you mean 'ersm'?"),
        (with_model(backbon="x"), "unknown key of trainer plain 'backbon'; did you mean 'backbone'"),
        (with_model(name="x"), "unknown key of trainer plain 'name'"),
        (with_model(label="a/b"), "label of a model names its file: letters, digits and . _ [+] -, got 'a/b'"),
        (with_model(backbone_of="x"), "unknown model whose backbone 'plain' takes 'x'; known: none"),
        (with_model(kind="ersm", unary_weight=-0.1), "unary_weight must be 0 or more, got -0.1"),
        (changed(models=[{"kind": "plain"}, {"kind": "plain"}]), "2 models are called 'plain'; give each a label"),
        (
            changed(models=[{"kind": "plain", "backbone_of": "ersm"}, {"kind": "ersm", "backbone_of": "plain"}]),
            "the backbones of models 'plain', 'ersm' wait for each other",
        ),
        (
            changed(models=[{"kind": "plain"}, {"kind": "ersm", "backbone_of": "plain", "backbone": "resnet18"}]),
            "backbone of model 'ersm' is that of 'plain', 'test_resnet', got 'resnet18'; leave it out",
        ),
    ],
)
def test_every_slip_is_named(table, sentence):
    with pytest.raises(XaiBenchError, match=sentence):
        TrainSuite.of(table)
