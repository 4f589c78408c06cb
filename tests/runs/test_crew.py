"""How jobs are handed out, with workers that are only pretended."""

from concurrent.futures import Future, wait

import pytest
import torch

from xai_bench.errors import RunError
from xai_bench.runs import crew
from xai_bench.runs.crew import Crew, Hand
from xai_bench.runs.plan import Task
from xai_bench.runs.work import Done, Job
from xai_bench.types import Batch


class Gone(Exception):
    pass


class Pretended(Hand):
    """Answers at once; is lost at the jobs named in `deadly`, as often as they say."""

    lost = (Gone,)

    def __init__(self, name, deadly=None, *, stillborn=False):
        self.name, self.deadly, self.stillborn = name, deadly or {}, stillborn
        self.did, self.up = [], False

    def start(self):
        self.up = True
        return self._answer(Gone("it does not start") if self.stillborn else None)

    def do(self, job):
        assert self.up
        self.did.append(job.task.data)
        if self.deadly.get(job.task.data, 0):
            self.deadly[job.task.data] -= 1
            return self._answer(Gone("killed\nand more"))
        return self._answer(Done(job.task))

    def stop(self):
        self.up = False

    @staticmethod
    def _given(value):
        future = Future()
        future.set_result(value)
        return future

    @staticmethod
    def _answer(value):
        future = Future()
        future.set_exception(value) if isinstance(value, Exception) else future.set_result(value)
        return future


def job(name):
    return Job(Task(name, "m", 0, 1, ("a",), {}), Batch(torch.zeros(1, 3, 2, 2), ("a",)), {})


def carried_out(hands, names, avoid=None):
    with Crew(hands) as people:
        failed = {(name, 0, 1): workers for name, workers in (avoid or {}).items()}
        outcomes = list(people.outcomes(iter([job(name) for name in names]), failed))
    assert not any(hand.up for hand in hands)
    return sorted((outcome.job.task.data, outcome.done is not None, outcome.worker) for outcome in outcomes)


def test_every_job_is_done_once_and_both_work():
    hands = [Pretended("a"), Pretended("b")]
    found = carried_out(hands, "12345")

    assert [(place, done) for place, done, _ in found] == [(name, True) for name in "12345"]
    assert all(hand.did for hand in hands)


def test_a_lost_worker_is_replaced_and_only_its_job_is_told():
    deadly = {"1": 1}
    hands = [Pretended("a", deadly), Pretended("b", deadly)]
    found = carried_out(hands, "1234")

    assert [place for place, done, _ in found if not done] == ["1"]
    assert len(found) == 4


def test_the_reason_is_one_line():
    with Crew([Pretended("a", {"1": 1})]) as people:
        (outcome,) = people.outcomes(iter([job("1")]), {})

    assert outcome.reason == "worker a was lost: killed"


def test_a_job_that_failed_here_goes_elsewhere():
    found = carried_out([Pretended("a"), Pretended("b")], "12", {"1": {"a"}, "2": {"a"}})

    assert [worker for *_, worker in found] == ["b", "b"]


def test_a_job_that_failed_everywhere_is_done_somewhere():
    assert len(carried_out([Pretended("a"), Pretended("b")], "1", {"1": {"a", "b"}})) == 1


def test_a_job_that_failed_on_the_only_worker_is_done_there():
    assert carried_out([Pretended("a")], "1", {"1": {"a"}}) == [("1", True, "a")]


def test_a_worker_that_never_starts_leaves_the_work_to_the_others():
    found = carried_out([Pretended("a", stillborn=True), Pretended("b")], "123", {"1": {"b"}})

    assert [worker for *_, worker in found] == ["b", "b", "b"]


def test_a_worker_that_dies_at_each_of_many_jobs_is_started_again_each_time():
    found = carried_out([Pretended("a", dict.fromkeys("12345678", 1))], "123456789")

    assert [place for place, done, _ in found if done] == ["9"]


def test_a_run_without_any_worker_ends_and_says_why():
    with pytest.raises(RunError, match="no worker is left: worker a was lost: it does not start"):
        carried_out([Pretended("a", stillborn=True)], "1")


def test_a_run_whose_workers_are_never_ready_ends(monkeypatch):
    monkeypatch.setattr(crew, "PATIENCE", 0.01)
    monkeypatch.setattr(Pretended, "start", lambda _: Future())

    with pytest.raises(RunError, match=r"no worker was ready after 0 s; are the devices free\?"):
        carried_out([Pretended("a")], "1")


def test_the_next_jobs_are_decoded_while_the_hands_are_busy(monkeypatch):
    taken, answers = [], []

    def jobs():
        for name in "123456":
            taken.append(name)
            yield job(name)

    def answer_late(self, given):
        answers.append((Future(), given))
        return answers[-1][0]

    def finish(busy, **kind):
        if not answers:  # still starting
            return wait(busy, **kind)
        assert len(taken) == 4  # two in work, two decoded
        future, given = answers[0]
        future.set_result(Done(given.task))
        return {future}, set()

    monkeypatch.setattr(Pretended, "do", answer_late)
    with Crew([Pretended("a"), Pretended("b")]) as people:
        outcomes = people.outcomes(jobs(), {})
        monkeypatch.setattr(crew, "wait", finish)

        assert next(outcomes).job.task.data == "1"


def test_only_as_many_jobs_are_taken_from_the_iterator_as_there_are_workers():
    taken = []

    def jobs():
        for name in "12345678":
            taken.append(name)
            yield job(name)

    with Crew([Pretended("a"), Pretended("b")]) as people:
        outcomes = people.outcomes(jobs(), {})
        next(outcomes)

        assert len(taken) <= 4
