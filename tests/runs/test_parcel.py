"""A plan travels with everything it needs."""

import sys
import threading

import pytest
import torch
from small_suite import DATA, METRICS, models

from xai_bench.api import _plan
from xai_bench.errors import UnsupportedError
from xai_bench.runs.parcel import packed, unpacked
from xai_bench.runs.suite import Suite


def plan(explainers=("gradcam",), metrics=METRICS):
    return _plan(Suite(tuple(models()), (DATA,), tuple(metrics), tuple(explainers), device="cpu"))


def test_weights_travel_and_data_stay():
    sent = plan()
    found = unpacked(packed(sent), "cpu")

    assert found.data == {}
    assert found.models["ersm"].fingerprint == sent.models["ersm"].fingerprint
    assert torch.equal(*(next(each.models["plain"].module.parameters()) for each in (sent, found)))
    assert found.metrics == sent.metrics


def test_functions_of_modules_that_are_nowhere_else_travel(tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text(
        "SCALE = 3\ndef scaled(model, images, targets):\n    return images.mean(1) * SCALE\n"
        "def peak(case):\n    return case.maps.amax((1, 2)) * SCALE\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    parcel = packed(plan(["python:only_here:scaled"], ["python:only_here:peak"]))
    del sys.modules["only_here"]
    (tmp_path / "only_here.py").unlink()
    found = unpacked(parcel, "cpu")

    assert found.explainers["plain"]["scaled"](None, torch.ones(1, 3, 2, 2), None).max() == 3
    assert found.metrics["planted/test"]["peak"].function.__name__ == "peak"


def test_what_cannot_be_sent_is_one_sentence():
    lock = threading.Lock()

    def locked(model, images, targets):
        with lock:
            return images.mean(1)

    with pytest.raises(UnsupportedError, match=r"cannot be sent to workers: cannot pickle '_thread\.lock' object"):
        packed(plan([locked]))
