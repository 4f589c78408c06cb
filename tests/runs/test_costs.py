"""What making maps cost: counted in passes on paper, kept over starts, and no score any different for it."""

import time
from dataclasses import asdict

import pandas as pd
import pytest
import torch
from small_suite import METRICS, evaluate

from xai_bench.adapters import load_model
from xai_bench.explainers import EXPLAINERS
from xai_bench.readings import costs
from xai_bench.reports.analysis import analyse
from xai_bench.reports.tables.provenance import facts
from xai_bench.results import load_results
from xai_bench.runs.clock import Cost, clocked

IG = {"name": "ig", "steps": 4}
WANTED = {"explainers": ["gradcam", IG, "random", "energy"], "gallery": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("runs") / "run"
    evaluate(where, metrics=METRICS[:1], **WANTED)
    return where


def told(folder):
    return load_results(folder).costs().set_index(["model", "explainer"])


@pytest.fixture(scope="module")
def model():
    return load_model("timm:test_resnet", pretrained=False, num_classes=4, input_size=32, device="cpu")


def test_passes_are_those_on_the_cards(folder):
    found = told(folder)

    assert found.loc[("plain", "random"), ["forward", "backward"]].tolist() == [0, 0]
    assert found.loc[("ersm", "energy"), ["forward", "backward"]].tolist() == [1, 0]
    assert found.loc[("plain", "ig(steps=4)"), ["forward", "backward"]].tolist() == [4, 4]
    assert found.loc[("plain", "gradcam"), ["forward", "backward"]].tolist() == [1, 1]


def test_all_images_count_and_an_explainer_that_does_not_fit_the_model_costs_nothing(folder):
    found = told(folder)

    assert set(found["n"]) == {6}
    assert (found["seconds"] > 0).all()
    assert ("plain", "energy") not in found.index


def test_kept_maps_cost_nothing_and_maps_made_by_a_later_start_are_added(folder, tmp_path):
    where = tmp_path / "run"
    evaluate(where, metrics=METRICS[:1], explainers=["gradcam"], gallery=0)
    first = told(where)
    evaluate(where, metrics=METRICS[:2], explainers=["gradcam"], gallery=0)
    later = told(where)
    next((where / "maps").iterdir()).unlink()
    evaluate(where, metrics=METRICS[:3], explainers=["gradcam", "random"], gallery=0)
    last = told(where)

    pd.testing.assert_frame_equal(first, later)
    assert last.loc[("plain", "random"), "n"] == last.loc[("ersm", "random"), "n"] == 6
    assert sorted(last.loc[["plain", "ersm"], "n"]) == [6, 6, 6, 6]


def test_an_older_run_has_an_empty_frame_of_the_same_columns(folder):
    run = load_results(folder).run
    older = type(run)(run.scores, run.curves, run.cards, run.explainers, dict(run.info) | {"costs": []}, ())

    assert list(costs(older)) == ["model", "explainer", "seconds", "n", "forward", "backward"]
    assert costs(older).empty


def test_what_took_how_long_is_no_provenance(folder):
    said = dict(facts(analyse(load_results(folder).run)))

    assert "versions.torch" in said
    assert not [name for name in said if name.startswith("costs")]


def test_starts_are_added_up_before_the_mean_is_taken(folder):
    run = load_results(folder).run
    entry = {"model": "m", "explainer": "e", "device": "cpu"}
    both = [
        entry | asdict(Cost(images=10, seconds=5.0, forward=10, backward=0)),
        entry | asdict(Cost(images=30, seconds=1.0, forward=90, backward=20)),
    ]
    found = costs(type(run)(run.scores, run.curves, run.cards, run.explainers, {"costs": both}, ())).iloc[0]

    assert found.tolist() == ["m", "e", 6 / 40, 40, 100 / 40, 20 / 40]


def test_the_clock_runs_while_the_block_does_and_leaves_no_hook(model):
    with clocked(model, 3) as cost:
        time.sleep(0.02)
        with torch.no_grad():
            model(torch.rand(2, 3, 32, 32))

    assert cost.seconds >= 0.02
    assert (cost.images, cost.forward, cost.backward) == (3, 2, 0)
    assert not model.module._forward_hooks


def test_the_clock_changes_no_map(model):
    images, targets = torch.rand(2, 3, 32, 32), torch.tensor([0, 1])
    alone = EXPLAINERS.build(IG)(model, images, targets)
    with clocked(model, 2):
        beside = EXPLAINERS.build(IG)(model, images, targets)

    assert torch.equal(alone, beside)
