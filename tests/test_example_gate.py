"""The example project: green as it is committed, red when its checkpoint is damaged or its colours are wrong."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import page_code
import pytest
import torch
from safetensors.torch import load_file

import xai_bench as xb
from xai_bench.api import run_suite
from xai_bench.results import load_run
from xai_bench.runs.suite import Suite

ROOT = Path(__file__).parent.parent
PROJECT = ROOT / "examples" / "gate"
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, whose modules can be imported."""
    folder = tmp_path_factory.mktemp("gate") / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__", "runs"))
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in ("network", "train"):
        sys.modules.pop(name, None)


def checked(project, name, **model):
    """The project's suite carried out, with other keys of its model, and held against its reference."""
    table = tomllib.loads((project / "faithfulness.toml").read_text(encoding="utf-8"))
    table["models"][0] |= model
    run = run_suite(Suite.of(table, project), project / "runs" / name)
    return xb.check(run, project / "faithfulness.reference.json", project / "faithfulness.margins.toml")


@pytest.fixture(scope="module")
def committed(project):
    return checked(project, "committed")


@pytest.fixture(scope="module")
def damaged(project, committed):
    kept = (project / "shapes.safetensors").read_bytes()
    subprocess.run([sys.executable, "damage.py"], cwd=project, check=True, capture_output=True)
    found = checked(project, "damaged")
    (project / "shapes.safetensors").write_bytes(kept)
    return found


def test_the_python_of_the_page_runs(project, committed, monkeypatch, capsys):
    monkeypatch.chdir(project)
    monkeypatch.setattr(page_code, "smaller", lambda code: code.replace("runs/faithfulness", "runs/committed"))
    with page_code.Reader(project) as reader:
        reader.read((ROOT / "docs" / "gate.md").read_text(encoding="utf-8"))

    assert "Nothing got worse: 10 of 10 cells pass." in capsys.readouterr().out
    assert len(reader.names["found"].table) == 10


def names(check, *verdicts):
    return {f"{one.metric.partition('(')[0]} {one.explainer.partition('(')[0]}" for one in check.of(*verdicts)}


def test_it_is_green_as_committed(committed):
    assert (committed.verdict, committed.code) == ("pass", 0)
    assert committed.counts == {"pass": 7, "ignored": 3}


def test_a_damaged_checkpoint_turns_it_red(damaged):
    assert damaged.code == 1
    maps = {f"{metric} {explainer}" for metric in ("insertion", "pointing_game") for explainer in ("gradcam", "ig")}
    assert names(damaged, "regression") == maps | {"top1 none", "deletion gradcam"}


def test_deletion_alone_would_be_fooled_by_a_damaged_checkpoint(damaged):
    """A model that is sure of nothing has nothing to lose; only the maps that became constant give it away."""
    deletion = [one for one in damaged.verdicts if one.metric == "deletion" and one.explainer != "random"]

    assert all(one.worse < 0 for one in deletion)
    assert [one.lost > 0 for one in deletion] == [True, False]


def test_a_wrong_normalisation_turns_it_red(project):
    found = checked(project, "imagenet", **IMAGENET)

    assert found.code == 1
    assert names(found, "regression") == {"top1 none", "insertion gradcam", "insertion ig"}


def test_the_explainers_have_something_to_lose(project):
    """Both beat the control in every metric, by two margins and more."""
    means = load_run(project / "faithfulness.reference.json").summary().set_index(["explainer", "metric"])["mean"]

    for explainer in ("gradcam", "ig(steps=16)"):
        assert means["random", "deletion"] - means[explainer, "deletion"] > 0.3
        assert means[explainer, "insertion"] - means["random", "insertion"] > 0.06
        assert means[explainer, "pointing_game(tolerance=4)"] - means["random", "pointing_game(tolerance=4)"] > 0.7


def test_the_network_and_its_checkpoint_are_what_train_leaves(project):
    import network
    import train

    model = network.shapes()
    model.load_state_dict(load_file(project / "shapes.safetensors"))
    images, labels = train.drawn("test", 64)
    with torch.inference_mode():
        right = model.eval()(images).argmax(1) == labels

    assert right.double().mean() > 0.95
    model_of_suite = Suite.read(project / "faithfulness.toml").models[0]
    assert (model_of_suite["mean"], model_of_suite["std"]) == ([train.MEAN] * 3, [train.STD] * 3)


def test_its_versions_are_those_of_the_constraints():
    ours = set((ROOT / "constraints.txt").read_text(encoding="utf-8").split())
    pinned = re.findall(r"^\w.*", (PROJECT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)

    assert len(pinned) == 4
    assert set(pinned) <= ours


def test_its_files_are_small():
    assert (PROJECT / "shapes.safetensors").stat().st_size < 200_000
    assert (PROJECT / "faithfulness.reference.json").stat().st_size < 20_000
