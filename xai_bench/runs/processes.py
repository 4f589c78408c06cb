"""Workers as processes of this machine, one per device."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from threading import Thread
from typing import Any

import torch
from loky import ProcessPoolExecutor
from loky.process_executor import ShutdownExecutorError

from xai_bench.runs.crew import Crew, Hand
from xai_bench.runs.parcel import packed, unpacked
from xai_bench.runs.plan import Plan
from xai_bench.runs.work import Done, Job, Worker

LOOK = 1.0  # seconds between two looks whether the parent is there
CORES = 4  # that one worker without a GPU gets by default


def processes(plan: Plan, workers: int | None, tasks: int) -> Crew:
    """A crew of processes: one per GPU or `workers` that share the cores; no more than tasks."""
    places = devices(plan, workers)[:tasks]
    threads = max(1, torch.get_num_threads() // len(places))
    content = packed(plan)
    return Crew([_Process(f"{number} ({place})", content, place, threads) for number, place in enumerate(places)])


def devices(plan: Plan, workers: int | None) -> Sequence[str]:
    """A device for each worker."""
    if any(model.device.type == "cuda" for model in plan.models.values()):
        count = torch.cuda.device_count()
        return [f"cuda:{number % count}" for number in range(workers or count)]
    return ["cpu"] * (workers or max(2, (os.cpu_count() or 1) // CORES))


class _Process(Hand):
    """A pool of one, so that its death is nobody else's."""

    lost = (BrokenProcessPool, ShutdownExecutorError)

    def __init__(self, name: str, content: bytes, device: str, threads: int) -> None:
        self.name, self._start = name, (content, device, threads, list(sys.path), os.getpid())
        self._pool: ProcessPoolExecutor | None = None

    def start(self) -> "Future[Any]":
        if self._pool is None:
            self._pool = ProcessPoolExecutor(max_workers=1, initializer=_begin, initargs=self._start)
        future: Future[Any] = self._pool.submit(_ready)
        return future

    def do(self, job: Job) -> "Future[Done]":
        assert self._pool is not None, "a hand works after it was started"
        future: Future[Done] = self._pool.submit(_do, job)
        return future

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None


_here: list[Worker] = []  # the one worker of a worker process


def _begin(content: bytes, device: str, threads: int, path: Sequence[str], parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that hands out the jobs decides when to end
    Thread(target=_end_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(threads)
    sys.path += [entry for entry in path if entry not in sys.path]
    _here[:] = [Worker(unpacked(content, device))]


def _end_with(parent: int) -> None:
    """A process whose parent was killed, even before this one was up, would wait for ever and hold its device."""
    while os.getppid() == parent:
        time.sleep(LOOK)
    os._exit(1)


def _ready() -> None:
    """Nothing; done when the process is up."""


def _do(job: Job) -> Done:
    return _here[0].do(job)
