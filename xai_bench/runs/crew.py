"""Workers elsewhere: jobs are handed out as workers get free, a lost worker is replaced, its job told as failed."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, NamedTuple

from xai_bench.errors import RunError
from xai_bench.runs.work import Done, Job

STARTS = 4  # times in a row that one worker may fail to come up before it is given up
PATIENCE = 300.0  # seconds in which at least one worker must be ready, where none is


class Outcome(NamedTuple):
    """What became of a job."""

    job: Job
    worker: str
    done: Done | None  # None where the worker was lost
    reason: str = ""


class Executor(AbstractContextManager["Executor", None]):
    """Carries jobs out; leaving it leaves no process behind."""

    pinned = False  # whether batches should be in page-locked memory

    @abstractmethod
    def outcomes(self, jobs: Iterator[Job], avoid: Mapping[Any, set[str]]) -> Iterator[Outcome]:
        """What became of each job, as they finish. `avoid` names workers on which a task's place failed before."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop whatever is still running."""


class Local(Executor):
    """In this process."""

    def __init__(self, worker: Any, *, pinned: bool) -> None:
        self._worker, self.pinned = worker, pinned

    def outcomes(self, jobs: Iterator[Job], avoid: Mapping[Any, set[str]]) -> Iterator[Outcome]:  # noqa: ARG002
        for job in jobs:
            yield Outcome(job, "local", self._worker.do(job))


class Hand(ABC):
    """One worker elsewhere that holds the whole plan; `lost` are the errors that say it is gone."""

    name: str
    lost: tuple[type[BaseException], ...]

    @abstractmethod
    def start(self) -> "Future[Any]":
        """Start it, or start it again; done when it is ready."""

    @abstractmethod
    def do(self, job: Job) -> "Future[Done]":
        """Have it carry out a job; only a lost worker raises."""

    @abstractmethod
    def stop(self) -> None:
        """End it at once."""


class Crew(Executor):
    """Several hands, one job each at a time."""

    def __init__(self, hands: list[Hand]) -> None:
        self._hands = hands

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hand in self._hands:
            hand.stop()

    def outcomes(self, jobs: Iterator[Job], avoid: Mapping[Any, set[str]]) -> Iterator[Outcome]:
        """As long as there are jobs; jobs wait in the iterator, at most one decoded job per hand beside it."""
        shift = _Shift(self._hands, jobs, avoid)
        while shift.goes_on():
            yield from shift.next()


class _Shift:
    """One pass over jobs: who is starting, who works on what, which jobs wait for another hand."""

    def __init__(self, hands: list[Hand], jobs: Iterator[Job], avoid: Mapping[Any, set[str]]) -> None:
        self.hands, self.jobs, self.avoid = hands, jobs, avoid
        self.starts = {hand.name: 1 for hand in hands}
        self.busy: dict[Future[Any], tuple[Hand, Job | None]] = {hand.start(): (hand, None) for hand in hands}
        self.idle: list[Hand] = []
        self.held: list[Job] = []
        self.why = ""

    def goes_on(self) -> bool:
        """Hand out what can be handed out; False when nothing is left."""
        for hand in list(self.idle):
            if (job := self._job_for(hand)) is not None:
                self.idle.remove(hand)
                self.busy[hand.do(job)] = hand, job
        working = any(job for _, job in self.busy.values())
        if self.idle and not working and not self.held:
            return False  # what is still starting is not needed
        if not self.busy:
            raise RunError(f"no worker is left: {self.why}")
        self._look_ahead()
        return True

    def _look_ahead(self) -> None:
        """Jobs for the hands that are busy, so that their images are decoded before a hand is free."""
        while len(self.held) < len(self.hands) and not any(future.done() for future in self.busy):
            if (job := next(self.jobs, None)) is None:
                return
            self.held.append(job)

    def next(self) -> Iterator[Outcome]:
        """The outcomes of the jobs that finish next."""
        working = any(job for _, job in self.busy.values())
        finished, _ = wait(self.busy, timeout=None if working else PATIENCE, return_when=FIRST_COMPLETED)
        if not finished:
            raise RunError(f"no worker was ready after {PATIENCE:.0f} s; {self.why or 'are the devices free?'}")
        for future in finished:
            hand, job = self.busy.pop(future)
            try:
                done = future.result()
            except hand.lost as error:
                self.why = f"worker {hand.name} was lost: {_first_line(error)}"
                self._replace(hand, came_up=job is not None)
                if job is not None:
                    yield Outcome(job, hand.name, None, self.why)
                continue
            self.idle.append(hand)
            if job is not None:
                yield Outcome(job, hand.name, done)

    def _replace(self, hand: Hand, *, came_up: bool) -> None:
        """What dies at work says nothing against the device: only starts that fail are counted."""
        hand.stop()
        self.starts[hand.name] = 1 if came_up else self.starts[hand.name] + 1
        if self.starts[hand.name] <= STARTS:
            self.busy[hand.start()] = hand, None

    def _job_for(self, hand: Hand) -> Job | None:
        """A job that did not fail here before, if another hand can be hoped for."""
        for waiting in self.held:
            if self._fits(waiting, hand):
                self.held.remove(waiting)
                return waiting
        while len(self.held) < len(self.hands) and (job := next(self.jobs, None)) is not None:
            if self._fits(job, hand):
                return job
            self.held.append(job)
        return None

    def _fits(self, job: Job, hand: Hand) -> bool:
        others = {each.name for each in (*self.idle, *(each for each, _ in self.busy.values()))} - {hand.name}
        failed = self.avoid.get(job.task.place, set())
        return hand.name not in failed or not others - failed


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
