"""Settings of the ERSM study: read from TOML, refused by name, and the embedded experiment where none are given."""

from dataclasses import replace
from pathlib import Path

import pytest

from xai_bench.errors import InvalidValueError, RunError, UnknownNameError
from xai_bench.studies.ersm import ErsmSettings
from xai_bench.studies.ersm.settings import MAIN
from xai_bench.training import Recipe


def test_a_file_fills_the_fields(tmp_path):
    path = tmp_path / "birds.toml"
    path.write_text(
        """
        backbone = "resnet50"
        pretrained = true
        factory = {}
        seeds = [3, 4]
        weights = [0, 1e-3]
        splits = ["test"]
        train_split = "train"
        margin = 0
        data = {name = "folder", path = "birds", masks = "/masks"}
        recipe = {epochs = 2, lr = 0.01}
        """
    )
    with pytest.raises(UnknownNameError, match="split of folder"):
        ErsmSettings.read(path)
    path.write_text(path.read_text().replace('"folder"', '"planted"'))
    found = ErsmSettings.read(path)

    assert found.seeds == (3, 4)
    assert found.weights == (0.0, 1e-3)
    assert found.recipe == Recipe(epochs=2, lr=0.01, stepped="epoch", backbone_lr=0.1)  # the rest as published
    assert found.data["path"] == str(tmp_path / "birds")
    assert found.data["masks"] == "/masks"
    assert not found.trains_backbone


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"wieghts": [0.1]}, "unknown key of study ersm 'wieghts'; did you mean 'weights'"),
        ({"recipe": {"epoch": 3}}, "unknown key of training recipe 'epoch'; did you mean 'epochs'"),
        ({"fills": ["blck"]}, "unknown fill 'blck'; did you mean 'black'"),
        ({"splits": ["tset"]}, "unknown split of planted 'tset'; did you mean 'test'"),
        ({"data": {"name": "plnted"}}, "unknown dataset 'plnted'; did you mean 'planted'"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(table, sentence):
    with pytest.raises(UnknownNameError, match=sentence):
        ErsmSettings.of(table)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"weights": [-1.0]}, r"weights of study ersm must be 0 or more, got \(-1.0,\)"),
        ({"seeds": [1]}, r"seeds of study ersm must be two or more different numbers, got \(1,\)"),
        ({"seeds": [1, 1]}, "two or more different numbers"),
        ({"areas": [0.5, 0.2]}, r"areas of study ersm must be rising shares in \(0, 1\)"),
        ({"fractions": [1.0]}, r"rising shares in \(0, 1\)"),
        ({"cell": 0}, "cell of study ersm must be a whole number from 1, got 0"),
        ({"test": 0}, "test of study ersm must be a whole number from 1, or left out, got 0"),
        ({"margin": -0.1}, "margin of study ersm must be 0 or more"),
        ({"data": {"size": 64}}, "data of study ersm must be a table with a name"),
        ({"recipe": {"augment": {"name": "light"}}}, "recipe of study ersm must be without augment"),
        ({"backbone_recipe": {"augment": {"name": "light"}}}, "backbone_recipe of study ersm must be without augment"),
        ({"backbone_recipe": {"precision": "bf16"}}, "precision of backbone_recipe of study ersm must be 'fp32'"),
        ({"recipe": {"precision": "bf16"}}, "precision of recipe of study ersm must be 'fp32', got 'bf16'"),
        ({"fast_recipe": {"precision": "bf16"}}, "precision of fast_recipe of study ersm must be 'fp32'"),
        ({"pretrained": "yes"}, "pretrained of study ersm must be bool, got 'yes'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_values_are_refused_in_one_sentence(table, sentence):
    with pytest.raises(InvalidValueError, match=sentence):
        ErsmSettings.of(table)


def test_the_example_is_settings_and_names_the_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("XAI_BENCH_DATA", str(tmp_path))
    found = ErsmSettings.read(Path(__file__).parents[2] / "examples/ersm_birds.toml")

    assert (found.backbone, found.pretrained) == ("resnet50.tv2_in1k", True)
    assert found.recipe == ErsmSettings().recipe


def test_a_file_that_is_not_there_or_no_toml(tmp_path):
    (tmp_path / "study.toml").write_text("seeds = [")

    with pytest.raises(RunError, match="is not TOML"):
        ErsmSettings.read(tmp_path / "study.toml")
    with pytest.raises(UnknownNameError, match=r"did you mean 'study\.toml'"):
        ErsmSettings.read(tmp_path / "stduy.toml")


def test_the_sweep_holds_every_start_weight_and_control():
    settings = ErsmSettings()
    variants = settings.variants

    assert len(set(map(str, variants))) == len(variants)
    assert set(MAIN.values()) <= set(variants)
    assert set(MAIN.values()) <= set(replace(settings, weights=(0.5,)).variants)
    for recipe in ("published", "fast"):
        for start in ("closed", "open"):
            for learnt in (True, False):
                mine = [v for v in variants if (v.recipe, v.start, v.learnt) == (recipe, start, learnt)]
                assert {v.unary for v in mine if v.unary == v.pairwise} >= set(settings.weights)
                assert [v for v in mine if v.pairwise == 0 < v.unary]
