"""Decoding ahead, in other processes and in this one."""

import multiprocessing
import os
import signal
from contextlib import closing

import pytest
import torch

from xai_bench.data import Planted, load_data
from xai_bench.runs.loading import decoded, loaders_for

PLACES = [("d", 0, 2), ("d", 2, 4), ("d", 4, 6), ("d", 6, 7)]


@pytest.fixture
def data():
    return {"d": load_data("planted", n=7, size=32)}


def batches(data, **options):
    with closing(decoded(data, PLACES, **{"loaders": 0, "pinned": False} | options)) as found:
        return list(found)


def test_other_processes_decode_the_same_in_order(data):
    here, there = batches(data), batches(data, loaders=2)

    assert [place for place, _ in there] == PLACES
    assert all(torch.equal(one.images, other.images) for (_, one), (_, other) in zip(here, there, strict=True))


def test_an_error_takes_the_place_of_its_slice(data, monkeypatch):
    sample = Planted.sample

    def broken(self, index):
        if index == 3:
            raise KeyError("lost")
        return sample(self, index)

    monkeypatch.setattr(Planted, "sample", broken)
    for loaders in (0, 1):
        found = [batch for _, batch in batches(data, loaders=loaders)]

        assert isinstance(found[1], KeyError)
        assert [len(found[place]) for place in (0, 2, 3)] == [2, 2, 1]


# torch says so from a signal handler, which may run inside of hypothesis' garbage-collection callback
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_when_the_decoding_process_is_killed_this_one_goes_on(data, monkeypatch):
    sample, here = Planted.sample, os.getpid()

    def deadly(self, index):
        if index == 4 and os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return sample(self, index)

    monkeypatch.setattr(Planted, "sample", deadly)
    found = batches(data, loaders=1)

    assert [place for place, _ in found] == PLACES
    assert [len(batch) for _, batch in found] == [2, 2, 2, 1]


def test_one_who_stops_early_leaves_no_process(data):
    with closing(decoded(data, PLACES, loaders=2, pinned=False)) as found:
        next(found)

    assert not multiprocessing.active_children()


def test_small_jobs_need_no_process(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)

    assert loaders_for(None, 10) == 0
    assert loaders_for(None, 1000) == 2
    assert loaders_for(3, 10) == 3


def test_one_core_is_left_to_the_models(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)

    assert loaders_for(None, 1000) == 0
