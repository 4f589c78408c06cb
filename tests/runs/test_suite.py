"""Suites: read, checked, written back; every slip is named with its nearest match."""

import tomllib

import pytest

from xai_bench.errors import XaiBenchError
from xai_bench.runs.suite import Suite

GOOD = """
seed = 3
explainers = ["gradcam", { name = "ig", steps = 8 }]
metrics = ["deletion@rise"]

[[models]]
name = "timm:resnet18"
checkpoint = "weights.safetensors"

[data]
name = "planted"
n = 4
"""


def write(tmp_path, text):
    path = tmp_path / "suite.toml"
    path.write_text(text)
    return path


def test_a_suite_is_read_with_paths_from_its_folder(tmp_path):
    suite = Suite.read(write(tmp_path, GOOD))

    assert suite.seed == 3
    assert suite.models == ({"name": "timm:resnet18", "checkpoint": str(tmp_path / "weights.safetensors")},)
    assert suite.data == ({"name": "planted", "n": 4},)
    assert suite.explainers == ("gradcam", {"name": "ig", "steps": 8})


def test_precision_compile_maps_and_chunk_are_keys(tmp_path):
    keys = 'precision = "bf16"\ncompile = true\nmaps = false\nchunk = 8\n'
    suite = Suite.read(write(tmp_path, keys + GOOD))

    assert (suite.precision, suite.compile, suite.maps, suite.chunk) == ("bf16", True, False, 8)
    assert Suite.of(tomllib.loads(suite.toml())) == suite


def test_variables_and_absolute_paths_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("SOMEWHERE", "/data")
    suite = Suite.read(write(tmp_path, GOOD.replace("weights.safetensors", "$SOMEWHERE/w.safetensors")))

    assert suite.models[0]["checkpoint"] == "/data/w.safetensors"


def test_a_suite_written_back_is_the_same_suite(tmp_path):
    suite = Suite.read(write(tmp_path, GOOD))

    assert Suite.of(tomllib.loads(suite.toml())) == suite


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("seed = 3", "sede = 3"), "unknown key of a suite 'sede'; did you mean 'seed'?"),
        (("seed = 3", 'seed = "x"'), "seed of a suite must be a whole number, got 'x'"),
        (("seed = 3", "seed = true"), "seed of a suite must be a whole number, got True"),
        (("seed = 3", "notes = 3"), "notes of a suite must be a list of sentences, got 3"),
        (("seed = 3", "device = 0"), "device of a suite must be text, got 0"),
        (("seed = 3", "gallery = -1"), "gallery of a suite must be a whole number from 0, got -1"),
        (("seed = 3", "chunk = -1"), "chunk of a suite must be a whole number from 0, got -1"),
        (("seed = 3", 'precision = "fp23"'), "unknown precision of a suite 'fp23'; did you mean 'fp32'?"),
        (("seed = 3", 'maps = "yes"'), "unknown maps of a suite 'yes'; known: auto, false, true"),
        (("seed = 3", "maps = 1"), "maps of a suite must be text or true or false, got 1"),
        (("seed = 3", "compile = 1"), "compile of a suite must be true or false, got 1"),
        (("seed = 3", 'target = "lable"'), "unknown target rule 'lable'; did you mean 'label'?"),
        (("metrics =", "metric ="), "unknown key of a suite 'metric'; did you mean 'metrics'?"),
        (('metrics = ["deletion@rise"]', ""), "a suite needs at least one entry in 'metrics'"),
        (('metrics = ["deletion@rise"]', "metrics = 3"), "metrics of a suite must be a list of names or tables, got 3"),
        (('metrics = ["deletion@rise"]', "metrics = [3]"), "metrics of a suite must be names or tables, got 3"),
        (('name = "planted"', "nam = 1"), "each table in 'data' of a suite needs a name, got {'nam': 1, 'n': 4}"),
        (("seed = 3", "seed = "), "is not TOML: "),
        (("weights.", "$NOT_SET_HERE/weights."), "names an environment variable that is not set"),
    ],
)
def test_a_slip_is_named(tmp_path, change, sentence):
    with pytest.raises(XaiBenchError) as refusal:
        Suite.read(write(tmp_path, GOOD.replace(*change)))

    assert sentence in str(refusal.value)


def test_a_missing_suite_names_the_near_ones(tmp_path):
    write(tmp_path, GOOD)

    with pytest.raises(XaiBenchError, match=r"unknown suite file 'suit.toml'; did you mean 'suite.toml'\?"):
        Suite.read(tmp_path / "suit.toml")


def test_paths_inside_a_metric_s_table_start_at_the_suite_too(tmp_path):
    table = {"models": "m", "data": "d", "metrics": [{"name": "roar", "train": {"name": "folder", "path": "train"}}]}
    suite = Suite.of(table, tmp_path)

    assert suite.metrics[0]["train"] == {"name": "folder", "path": str(tmp_path / "train")}
