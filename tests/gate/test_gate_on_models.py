"""A small trained model, broken as models get broken, turns the gate red; what should not matter does not."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import xai_bench as xb
from xai_bench.adapters import Preprocessing, VisionModel
from xai_bench.adapters.checkpoint import save_model
from xai_bench.errors import RunError
from xai_bench.gate import Margins
from xai_bench.results import Results
from xai_bench.runs.run import Run
from xai_bench.training import PRESETS, train_plain
from xai_bench.training.demo import FACTORY, LOCAL
from xai_bench.training.plain import HALF

SIDE = 32
SHAPES = {"size": SIDE, "classes": ("square", "cross"), "distractors": 0, "correlation": 0.5}  # little to learn
DATA = {"name": "planted", "split": "test", "n": 48, "seed": 1, **SHAPES}
METRICS = (
    {"name": "deletion", "steps": 7},
    {"name": "insertion", "steps": 7},
    {"name": "pointing_game", "tolerance": 3},
    "top1",
)
DELETION, INSERTION, POINTING = "deletion(steps=7)", "insertion(steps=7)", "pointing_game(tolerance=3)"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A net that tells squares from crosses, and looks at them."""
    data = xb.load_data("planted", split="train", n=400, seed=0, batch_size=256, **SHAPES)
    recipe = replace(PRESETS["scratch"], epochs=6)
    module = train_plain(data, recipe, factory={**FACTORY, **LOCAL}, progress=False)
    shape = Preprocessing((SIDE, SIDE))
    model = VisionModel(module, name="timm:test_resnet", label="plain", mean=HALF, std=HALF, preprocessing=shape)
    path = tmp_path_factory.mktemp("models") / "plain.safetensors"
    save_model(model, path, recipe={"name": "timm:test_resnet", "label": "plain", "num_classes": 2, **FACTORY})
    return path


def evaluate(path, *, settings=None, **changed):
    wanted = {"explainers": ["gradcam", "random"], "metrics": METRICS, "data": DATA, "progress": False, "gallery": 0}
    return xb.evaluate(xb.load_model(path, device="cpu", **(settings or {})), **wanted | changed)


@pytest.fixture(scope="module")
def reference(checkpoint, tmp_path_factory) -> Path:
    """As a repository keeps it."""
    return evaluate(checkpoint).save_reference(tmp_path_factory.mktemp("kept") / "reference.json")


def cells(check, *verdicts):
    return {(one.explainer, one.metric) for one in check.verdicts if one.verdict in verdicts}


def tensors(path):
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118 - no mapping


def test_a_damaged_checkpoint_is_red(checkpoint, reference, tmp_path):
    weights, recipe = tensors(checkpoint)
    for name in ("conv1.3.weight", "layer1.0.conv1.weight"):
        weights[name][::2] = 0.0  # every second filter was never written
    save_file(weights, tmp_path / "damaged.safetensors", metadata=recipe)
    check = xb.check(evaluate(tmp_path / "damaged.safetensors"), reference)

    assert (check.verdict, check.code) == ("regression", 1)
    assert ("gradcam", INSERTION) in cells(check, "regression")
    assert any("other weights, layers or preprocessing" in note for note in check.notes)


def test_a_wrong_normalisation_is_red(checkpoint, reference):
    given = evaluate(checkpoint, settings={"mean": (0.0,) * 3, "std": (1.0,) * 3})
    check = xb.check(given, reference)

    assert (check.verdict, check.code) == ("regression", 1)
    assert ("none", "top1") in cells(check, "regression")
    assert "gradcam" in {explainer for explainer, _ in cells(check, "regression")}


def test_a_swapped_target_layer_is_red_in_grad_cam_alone(checkpoint, reference):
    check = xb.check(evaluate(checkpoint, settings={"layer": "conv1"}), reference)
    others = {one for one in cells(check, "pass") if one[0] != "gradcam"}

    assert (check.verdict, check.code) == ("regression", 1)
    assert ("gradcam", DELETION) in cells(check, "regression")
    assert others == {("none", "top1"), *(("random", metric) for metric in (DELETION, INSERTION, POINTING))}


def named(name, function):
    function.__name__ = name
    return function


def seen(model, images, targets):
    return xb.explain("gradcam", model, images, targets)


@pytest.mark.parametrize("turned", [lambda maps: maps.flip(1), torch.neg], ids=["vertically", "sign"])
def test_a_map_upside_down_is_red(turned, checkpoint, reference):
    upside_down = named("gradcam", lambda *given: turned(seen(*given)))
    check = xb.check(evaluate(checkpoint, explainers=[upside_down, "random"]), reference)

    assert (check.verdict, check.code) == ("regression", 1)
    assert {explainer for explainer, _ in cells(check, "regression", "undecided")} == {"gradcam"}
    assert any(note.startswith("Explainer gradcam is") for note in check.notes)


@pytest.mark.parametrize("allowed", [0.0, 0.1])
def test_a_metric_that_became_undefined_for_two_images_in_forty_never_passes(allowed, checkpoint):
    def bright(_model, images, _targets):
        return images.mean(1)

    def flat(_model, images, _targets):
        maps = images.mean(1)
        maps[:2] = 0.5  # a constant map ranks nothing
        return maps

    suite = {"metrics": METRICS[:1], "data": DATA | {"n": 40, "batch_size": 40}}
    before = evaluate(checkpoint, explainers=[bright], **suite)
    after = evaluate(checkpoint, explainers=[named("bright", flat)], **suite)
    check = xb.check(after, before, Margins(undefined=allowed))
    (verdict,) = check.verdicts

    assert (verdict.n, verdict.lost, verdict.left) == (38, 2, 0)
    assert verdict.worse == 0
    assert "2 became undefined: map is constant" in verdict.note
    assert (check.verdict, check.code) == (("undecided", 3) if allowed else ("regression", 1))


SAME = {
    "batches": {"data": DATA | {"batch_size": 5}},
    "chunks": {"chunk": 7},
    "order of the suite": {"explainers": ["random", "gradcam"], "metrics": METRICS[::-1]},
    "workers": {"executor": "processes", "workers": 2, "data": DATA | {"batch_size": 12}},
}


@pytest.mark.parametrize("changed", list(SAME.values()), ids=list(SAME))
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_how_the_work_was_done_is_green(changed, checkpoint, reference):
    check = xb.check(evaluate(checkpoint, **changed), reference)

    assert (check.verdict, check.code) == ("pass", 0)
    assert dict(check.counts) == {"pass": 7}
    assert all(verdict.worse == 0 for verdict in check.verdicts)


def test_bf16_is_green_and_told(checkpoint, reference):
    check = xb.check(evaluate(checkpoint, precision="bf16"), reference)
    worse = [abs(verdict.worse) for verdict in check.verdicts if verdict.explainer == "gradcam"]

    assert (check.verdict, check.code) == ("pass", 0)
    assert 0 < max(worse) < 0.005  # rounded, and within a quarter of the margin
    assert any("precision bf16" in note for note in check.notes)


def test_shuffled_rows_and_models_in_another_order_are_green(checkpoint):
    models = [xb.load_model(checkpoint, device="cpu", label=label) for label in ("first", "second")]
    models[1].module.fc.weight.data.mul_(0.5)
    suite = {"explainers": ["random"], "metrics": METRICS[:1], "data": DATA | {"n": 8}, "progress": False}
    before, after = (xb.evaluate(order, **suite) for order in (models, models[::-1]))
    rows = after.scores.sample(frac=1.0, random_state=0).reset_index(drop=True)
    shuffled = Results(Run(rows, pd.DataFrame(), after.run.cards, after.run.explainers, after.run.info))
    assert list(rows["sample"]) != list(before.scores["sample"])

    for now in (after, shuffled):
        check = xb.check(now, before)
        assert (check.verdict, check.code) == ("pass", 0)
        assert [(one.model, one.worse) for one in check.verdicts] == [("first", 0.0), ("second", 0.0)]


def test_other_images_are_no_verdict(checkpoint, reference):
    with pytest.raises(RunError, match="other images"):
        xb.check(evaluate(checkpoint, data=DATA | {"seed": 2, "n": 8}, metrics=["top1"]), reference)
