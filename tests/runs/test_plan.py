"""What is left to do is known from names alone."""

import gc
from dataclasses import replace

import pytest
from small_suite import DATA, METRICS, MODELS, evaluate, models

import xai_bench as xb
from xai_bench.api import _plan
from xai_bench.runs.cells import Cell
from xai_bench.runs.plan import NONE
from xai_bench.runs.suite import Suite
from xai_bench.types import Batch


@pytest.fixture(scope="module")
def plan():
    return _plan(Suite(tuple(models()), (DATA,), tuple(METRICS), ("gradcam", "random"), device="cpu"))


def cells(tasks):
    return [
        Cell(task.data, task.model, explainer, metric, task.ids[row])
        for task in tasks
        for explainer, metrics in task.wanted.items()
        for metric, rows in metrics.items()
        for row in rows
    ]


def there(found):
    """Cells by group, as the store gives them."""
    groups = {}
    for *group, sample in found:
        groups.setdefault(tuple(group), set()).add(sample)
    return groups


def test_tasks_hold_every_cell_once(plan):
    tasks = plan.tasks({})
    found = cells(tasks)

    assert [(task.start, task.stop) for task in tasks] == [(0, 4), (0, 4), (4, 6), (4, 6)]
    assert len(found) == len(set(found)) == 2 * 6 * (2 * 2 + 2)
    assert {name for task in tasks for name in task.wanted} == {NONE, "gradcam", "random"}


def test_what_is_done_is_no_task(plan):
    everything = cells(plan.tasks({}))

    assert plan.tasks(there(everything)) == []
    assert cells(plan.tasks(there(everything[:7] + everything[8:]))) == everything[7:8]


def test_tasks_cost_no_image_and_no_forward_pass(plan, monkeypatch):
    monkeypatch.setattr("xai_bench.data.Planted.sample", lambda *_: pytest.fail("an image was decoded"))
    monkeypatch.setattr("xai_bench.adapters.VisionModel.__call__", lambda *_: pytest.fail("a model ran"))

    assert len(plan.tasks({})) == 4


def test_a_finished_run_decodes_nothing_and_runs_nothing(tmp_path, monkeypatch):
    first = evaluate(tmp_path / "run")
    monkeypatch.setattr("xai_bench.data.Planted.sample", lambda *_: pytest.fail("an image was decoded"))
    monkeypatch.setattr("xai_bench.adapters.VisionModel.__call__", lambda *_: pytest.fail("a model ran"))
    again = evaluate(tmp_path / "run")

    assert again.scores.equals(first.scores)


def test_a_task_is_cut_down_to_what_failed(plan):
    task = plan.tasks({})[0]

    assert task.only([("random", "deletion(steps=2)")]).wanted == {"random": {"deletion(steps=2)": (0, 1, 2, 3)}}
    assert str(task) == "plain on planted/test, samples planted-test-0-0 to planted-test-0-3"


def test_maps_are_kept_below_a_gigabyte_unless_the_suite_says_otherwise(plan):
    # 2 models x 2 explainers x n images x 32 x 32 pixels x 4 bytes
    many = {"planted": xb.load_data("planted", n=62_000, size=32)}

    assert plan.keeps_maps
    assert not replace(plan, data=many).keeps_maps
    assert replace(plan, data=many, maps=True).keeps_maps
    assert not replace(plan, maps=False).keeps_maps


def test_the_chunk_that_was_found_is_in_the_run_and_a_second_start_takes_it(tmp_path, monkeypatch):
    evaluate(tmp_path / "run", metrics=METRICS[:1])
    found = xb.load_results(tmp_path / "run").run.info["chunk"]
    monkeypatch.setattr("xai_bench.engine.Engine.fit", lambda *_: pytest.fail("looked for a chunk again"))
    evaluate(tmp_path / "run")

    assert found.keys() == {model["label"] for model in MODELS}
    assert all(size in {1 << power for power in range(2, 9)} for size in found.values())


def test_precision_and_chunk_of_the_suite_reach_the_engine():
    results = evaluate(precision="bf16", chunk=3, metrics=METRICS[:1], explainers=["random"])

    assert set(results.scores.precision) == {"bf16"}
    assert results.run.info["precision"] == "bf16"
    assert results.run.info["chunk"] == {"plain": 3, "ersm": 3}


def test_batches_of_units_that_are_done_are_let_go():
    calls, alive = [], []

    def count(model, images, targets):
        calls.append(1)
        if len(calls) in (24, 64):  # models x images
            gc.collect()
            alive.append(sum(type(thing) is Batch for thing in gc.get_objects()))
        return images.mean(1)

    evaluate(data=DATA | {"n": 32, "batch_size": 1}, metrics=METRICS[:1], explainers=[count], gallery=0)

    assert max(alive) < 20  # those decoded, worked on and waiting to be written
