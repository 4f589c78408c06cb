"""Wherever the work is done, the numbers are the same, and a worker that dies takes nothing with it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from small_suite import DATA, METRICS, evaluate, models

import xai_bench as xb
from xai_bench.errors import IncompleteError, InvalidValueError, RunError, UnknownNameError, UnsupportedError
from xai_bench.runs.plan import Plan
from xai_bench.runs.processes import processes

ONE_BY_ONE = DATA | {"batch_size": 2}


def bright(model, images, targets):
    return images.mean(1)


@pytest.fixture(scope="session")
def cluster():
    """Two nodes with one core each."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'xai-bench[ray]'")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    yield nodes
    nodes.shutdown()


def where(kind, request):
    address = request.getfixturevalue("cluster").address if kind == "ray" else None
    return {"executor": kind, "workers": 2, "address": address}


@pytest.mark.parametrize("kind", ["processes", "ray"])
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:A worker stopped:UserWarning")
def test_the_same_scores_as_in_this_process_though_a_worker_dies(kind, request, tmp_path):
    mark = tmp_path / "dead"

    def deadly(model, images, targets):
        if not mark.exists() and Path(f"/proc/{os.getpid()}").exists() and os.getpid() != here:
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return images.amin(1)

    here = os.getpid()
    explainers = ["gradcam", "random", bright, deadly]
    local = evaluate(explainers=explainers, data=ONE_BY_ONE)
    away = evaluate(tmp_path / "run", explainers=explainers, data=ONE_BY_ONE, **where(kind, request))

    assert mark.exists()
    pd.testing.assert_frame_equal(away.scores, local.scores)  # bit for bit
    pd.testing.assert_frame_equal(away.curves, local.curves)
    # as many files as units, and the sets'; the lost unit is done an explainer at a time
    assert 6 + 1 < len(list((tmp_path / "run/scores").glob("*.parquet"))) <= 6 + 1 + 4 * 2


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:A worker stopped:UserWarning")
def test_an_explainer_that_kills_its_worker_fails_alone_and_not_on_every_unit(tmp_path):
    here, calls = os.getpid(), tmp_path / "calls"

    def deadly(model, images, targets):
        with calls.open("a") as file:
            file.write("x")
        assert os.getpid() != here
        os._exit(3)

    with pytest.raises(IncompleteError, match=r"^6 of 6 units failed") as told:
        xb.evaluate(
            models()[:1],
            ["random", deadly],
            METRICS[:1],
            DATA | {"batch_size": 1},
            executor="processes",
            workers=1,
            progress=False,
        )

    assert list(told.value.results.scores.explainer) == ["random"] * 6
    assert sum("not tried, since on 2 units worker 0 (cpu) was lost" in line for line in told.value.failures) >= 3
    assert len(calls.read_text()) <= 4  # not three times on each of six units


@pytest.mark.parametrize(
    ("means", "kind", "sentence"),
    [
        ({"executor": "rey"}, UnknownNameError, "unknown executor 'rey'; did you mean 'ray'?"),
        ({"workers": 2}, InvalidValueError, "workers is for executor 'processes' or 'ray', got executor 'local'"),
        ({"address": "a:1", "executor": "processes"}, InvalidValueError, "address is for executor 'ray'"),
        ({"workers": 0, "executor": "processes"}, InvalidValueError, "workers must be a whole number from 1, got 0"),
        ({"loaders": -1}, InvalidValueError, "loaders must be a whole number from 0, got -1"),
    ],
)
def test_wrong_means_are_refused_before_a_model_is_loaded(monkeypatch, means, kind, sentence):
    monkeypatch.setattr("xai_bench.api.run_suite", lambda *_: pytest.fail("the suite was started"))

    with pytest.raises(kind, match=sentence.replace("?", r"\?")):
        evaluate(**means)


@pytest.mark.parametrize(
    ("address", "kind", "sentence"),
    [
        ("127.0.0.1:9", RunError, "no Ray cluster at '127.0.0.1:9'; start one with `ray start --head`"),
        ("somewhere", InvalidValueError, "address of a Ray cluster must be HOST:PORT, auto or local, got 'somewhere'"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_sentence(tmp_path, address, kind, sentence):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'xai-bench[ray]'")

    with pytest.raises(kind, match=sentence):
        evaluate(tmp_path / "run", executor="ray", address=address, metrics=METRICS[:1])

    assert not (tmp_path / "run").exists()


def test_no_more_workers_are_made_than_there_are_tasks():
    assert len(processes(Plan({}, {}, {}, {}), 4, 1)._hands) == 1


def test_without_ray_one_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(UnsupportedError, match=r"executor 'ray' needs Ray: pip install 'xai-bench\[ray\]'"):
        evaluate(executor="ray", metrics=METRICS[:1])


@pytest.mark.parametrize(
    "flags", [["--loaders", "-1"], ["--workers", "0", "--executor", "processes"], ["--executor", "prosesses"]]
)
def test_wrong_flags_are_refused_without_torch(flags):
    code = "import sys; from xai_bench.cli import main\ntry: main()\nfinally: assert 'torch' not in sys.modules"
    found = subprocess.run(
        [sys.executable, "-c", code, "run", "any.toml", *flags], check=False, capture_output=True, text=True
    )

    assert found.returncode == 2
    assert found.stderr.startswith("error: ")


ARGUMENTS = """
from xai_bench.errors import InvalidValueError
from xai_bench.runs.means import Means
from xai_bench.runs.suite import Suite

def suite(**values):
    return Suite(models=("m",), data=("d",), metrics=("top1",), **values)

for make, values in (
    (Means, {"executor": "ray", "workers": "2"}), (Means, {"executor": "ray", "workers": 1.5}),
    (Means, {"loaders": "x"}), (suite, {"chunk": "a"}), (suite, {"chunk": 2.5}), (suite, {"seed": "a"}),
):
    try:
        make(**values)
    except InvalidValueError as error:
        assert "must be a whole number" in str(error), error
    else:
        raise AssertionError(values)
"""


def test_arguments_that_are_no_whole_numbers_are_one_sentence():
    # in a process of its own, since here annotations are checked before the code runs
    found = subprocess.run([sys.executable, "-c", ARGUMENTS], check=False, capture_output=True, text=True)

    assert found.returncode == 0, found.stderr
