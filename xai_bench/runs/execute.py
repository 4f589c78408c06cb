"""Carries a plan out: hands tasks to an executor, stores what comes back, tries again what failed."""

import sys
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

import torch
from tqdm import tqdm

from xai_bench.errors import XaiBenchError
from xai_bench.runs.clock import Cost
from xai_bench.runs.crew import Executor, Local, Outcome
from xai_bench.runs.loading import decoded, loaders_for
from xai_bench.runs.means import Means
from xai_bench.runs.plan import NONE, Plan, Task
from xai_bench.runs.rows import unit
from xai_bench.runs.store import Folder, Memory
from xai_bench.runs.work import Job, Worker

TRIES = 3
DEATHS = 2  # units in a row whose worker an explainer takes with it, alone, before it is tried on no other
WAITING = 4  # units that may wait to be written

Sink = Memory | Folder


@dataclass(frozen=True)
class Failure:
    """A task that failed at every try."""

    task: Task
    reason: str
    error: XaiBenchError | None = None  # where no second try would mend it

    def __str__(self) -> str:
        cells = ", ".join(sorted({name for name in self.task.wanted if name != NONE})) or "no explainer"
        return f"{self.task} ({cells}): {self.reason}"


def execute(plan: Plan, sink: Sink, tasks: Sequence[Task], means: Means) -> list[Failure]:
    """Compute the tasks and put what comes of them into the sink; what failed at every try comes back.

    An XaiBenchError inside a unit fails its cells without another try; where nothing else came of the run, the first
    is raised. Whatever ends it, finished units are stored and no process is left.
    """
    if not tasks:
        return []
    if means.progress is not False and (again := made_again(plan, sink, tasks)):
        sys.stderr.write(f"{again} maps are made again, since the run keeps none of them\n")
    left = [Failure(task, "") for task in tasks]
    avoid: dict[Any, set[str]] = {}
    with _executor(plan, means, len(tasks)) as executor, _Writer(sink) as writer, _bar(tasks, means) as bar:
        run = _Run(plan, sink, means, executor, writer, bar)
        for _ in range(TRIES):
            left = run.once([failure.task for failure in left], avoid)
            if not left:
                break
        run.tell_costs()
    if run.wrong and run.wrong[0].error and not left and not run.scored:
        raise run.wrong[0].error
    return run.wrong + left


def check(means: Means) -> None:
    """Refuse means that are not there, before anything is written."""
    if means.executor == "ray":
        from xai_bench.runs import ray  # noqa: PLC0415

        ray.check(means.address)


def made_again(plan: Plan, sink: Sink, tasks: Sequence[Task]) -> int:
    """How many maps an earlier start made that are not kept, but needed for what is missing now."""
    return sum(
        len(task.ids)
        for task in tasks
        for explainer, wanted in task.wanted.items()
        if explainer != NONE
        and wanted.keys() < plan.of_maps(task.data)
        and not sink.has_maps(task.data, task.model, explainer, task.ids)
    )


@dataclass
class _Run:
    """What all passes over the tasks share."""

    plan: Plan
    sink: Sink
    means: Means
    executor: Executor
    writer: "_Writer"
    bar: "tqdm[Any]"

    def __post_init__(self) -> None:
        self.info = self.plan.info()
        self.chunks = dict(self.plan.chunks)
        self.scored = False
        self.wrong: list[Failure] = []
        self.costs: dict[tuple[str, str, str], Cost] = {}  # (model, explainer, device) -> of the maps made now
        self.suspects: set[tuple[str, str]] = set()  # (model, explainer) that were there when a worker was lost
        self.deaths: dict[tuple[str, str], dict[Any, str]] = {}  # (model, explainer) -> place -> how a worker was lost

    def once(self, tasks: Sequence[Task], avoid: dict[Any, set[str]]) -> list[Failure]:
        """One pass over tasks; those that failed, cut down to what is missing."""
        failed: list[Failure] = []
        with closing(self._jobs(tasks, failed)) as jobs:
            for outcome in self.executor.outcomes(jobs, avoid):
                if failures := self._settled(outcome):
                    failed += failures
                    avoid.setdefault(outcome.job.task.place, set()).add(outcome.worker)
        return failed

    def _jobs(self, tasks: Sequence[Task], failed: list[Failure]) -> Generator[Job]:
        """Tasks with their decoded images and the maps that are there already."""
        by_place: dict[tuple[str, int, int], list[Task]] = {}
        for task in tasks:
            by_place.setdefault(task.place, []).append(task)
        loaders = loaders_for(self.means.loaders, sum(stop - start for _, start, stop in by_place))
        batches = decoded(self.plan.data, list(by_place), loaders=loaders, pinned=self.executor.pinned)
        with closing(batches):
            for place, batch in batches:
                for task in by_place[place]:
                    if isinstance(batch, XaiBenchError):
                        self.wrong.append(Failure(task, str(batch), batch))
                        continue
                    if isinstance(batch, Exception):
                        failed.append(Failure(task, f"{type(batch).__name__}: {batch}"))
                        continue
                    for part in self._parts(task):
                        if reason := self._deadly(part):
                            failed.append(Failure(part, reason))
                            continue
                        self.bar.set_description(f"{task.model} on {task.data}")
                        yield Job(part, batch, self._kept(part), self.chunks.get(task.model, 0))

    def _parts(self, task: Task) -> list[Task]:
        """The task with each suspected explainer apart, so that a guilty one takes no other with it."""
        alone = [name for name in task.wanted if (task.model, name) in self.suspects]
        return self._split(task, [[name] for name in alone] + [[name for name in task.wanted if name not in alone]])

    def _split(self, task: Task, groups: Sequence[Sequence[str]]) -> list[Task]:
        parts = [
            task.only([(name, metric) for name in group for metric in task.wanted[name]]) for group in groups if group
        ]
        self.bar.total = (self.bar.total or 0) + len(task.ids) * (len(parts) - 1)
        return parts

    def _deadly(self, task: Task) -> str:
        """Why a task is not tried: its explainer took the worker with it on other units."""
        deaths = [self.deaths.get((task.model, name), {}) for name in task.wanted]
        found = next((each for each in deaths if len(each) >= DEATHS), None)
        return f"not tried, since on {len(found)} units {list(found.values())[-1]}" if found else ""

    def _lost(self, task: Task, reason: str) -> list[Failure]:
        """A lost worker's task, an explainer at a time: only the guilty one shall fail at the next pass."""
        pairs = [(task.model, name) for name in task.wanted]
        self.suspects.update(pairs)
        if len(pairs) == 1:
            self.deaths.setdefault(pairs[0], {})[task.place] = reason
        return [Failure(part, reason) for part in self._split(task, [[name] for name in task.wanted])]

    def _kept(self, task: Task) -> Mapping[str, Any]:
        """Maps that an earlier start kept."""
        found = ((name, self.sink.maps(task.data, task.model, name, task.ids)) for name in task.wanted if name != NONE)
        return {name: torch.from_numpy(maps) for name, maps in found if maps is not None}

    def _settled(self, outcome: Outcome) -> list[Failure]:
        """Store what there is; what is missing comes back."""
        task, done = outcome.job.task, outcome.done
        if done is None:
            return self._lost(task, outcome.reason)
        for name in task.wanted:
            self.suspects.discard((task.model, name))
            self.deaths.pop((task.model, name), None)
        if done.wrong:
            error = next(iter(done.wrong.values()))
            self.wrong.append(Failure(task.only(done.wrong), str(error), error))
        if done.scored:
            self.scored = True
            self._note(task.model, done.chunk)
            for name, cost in done.costs.items():
                self.costs.setdefault((task.model, name, done.device), Cost()).add(cost)
            self.writer.put(lambda: unit(self.plan, self.info, done, outcome.job.batch))
        if not done.failed:
            self.bar.update(len(task.ids))
            return []
        return [Failure(task.only(done.failed), next(iter(done.failed.values())))]

    def tell_costs(self) -> None:
        """An entry in run.json for each model and explainer of this start; one that is killed tells none."""
        keys = ("model", "explainer", "device")
        told = [dict(zip(keys, key, strict=True)) | asdict(cost) for key, cost in self.costs.items()]
        if told:
            self.writer.note({"costs": told})

    def _note(self, model: str, chunk: int) -> None:
        """The smallest chunk that was needed goes into run.json, so that a resumed run has the same numbers."""
        if chunk and chunk < self.chunks.get(model, chunk + 1):
            self.chunks[model] = chunk
            self.writer.note({"chunk": dict(self.chunks)})


class _Writer:
    """Builds rows and writes them in one thread beside the work; at most `WAITING` units wait."""

    def __init__(self, sink: Sink) -> None:
        self._sink, self._pool = sink, ThreadPoolExecutor(1, thread_name_prefix="xai-bench-writer")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> "_Writer":
        return self

    def put(self, make: Callable[[], Any]) -> None:
        """Make a unit and store it; raises what went wrong with an earlier one."""
        self._submit(lambda: self._sink.add(make()))

    def note(self, facts: Mapping[str, Any]) -> None:
        """Put facts into run.json."""
        self._submit(lambda: self._sink.note(facts))

    def _submit(self, work: Callable[[], None]) -> None:
        while self._waiting and (self._waiting[0].done() or len(self._waiting) >= WAITING):
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(work))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Whatever ended the run, finished units are stored; an error of an earlier one is not hidden."""
        self._pool.shutdown(wait=True)
        if kind is None:
            for future in self._waiting:
                future.result()


def _executor(plan: Plan, means: Means, tasks: int) -> Executor:
    match means.executor:
        case "processes":
            from xai_bench.runs.processes import processes  # noqa: PLC0415 - loky only where it is asked for

            return processes(plan, means.workers, tasks)
        case "ray":
            from xai_bench.runs.ray import ray_crew  # noqa: PLC0415

            return ray_crew(plan, means.workers, means.address, tasks)
    return Local(Worker(plan), pinned=any(model.device.type == "cuda" for model in plan.models.values()))


def _bar(tasks: Sequence[Task], means: Means) -> "tqdm[Any]":
    """Images per second and time left over all workers, on stderr, only to a terminal unless asked for."""
    quiet = None if means.progress is None else not means.progress
    return tqdm(total=sum(len(task.ids) for task in tasks), unit="image", disable=quiet, dynamic_ncols=True)
