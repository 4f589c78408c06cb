"""Workers as actors of a Ray cluster, one per device."""

import logging
import os
import socket
import sys
from concurrent.futures import Future
from types import ModuleType, TracebackType
from typing import Any

import torch

from xai_bench.errors import InvalidValueError, RunError, UnsupportedError
from xai_bench.runs.crew import Crew, Hand
from xai_bench.runs.parcel import packed, unpacked
from xai_bench.runs.plan import Plan
from xai_bench.runs.work import Done, Job, Worker

START = "start one with `ray start --head`"
REACHABLE = 5.0  # seconds


def ray_crew(plan: Plan, workers: int | None, address: str | None, tasks: int) -> Crew:
    """A crew of actors, no more than tasks, on the cluster at the address, the one here, or one for this run."""
    ray = _ray()
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, address)
    try:
        gpu = any(model.device.type == "cuda" for model in plan.models.values())
        count, threads = _share(ray, workers, gpu=gpu)
        content = ray.put(packed(plan))
        return _Cluster(
            ray, [_Actor(ray, str(number), content, threads, gpu=gpu) for number in range(min(count, tasks))], ours=ours
        )
    except BaseException:
        if ours:
            ray.shutdown()
        raise


def check(address: str | None) -> None:
    """Refuse, before anything is written, an address where no cluster answers; Ray itself would try for a minute."""
    _ray()
    if address is not None:
        _check_reachable(address)


class _Cluster(Crew):
    def __init__(self, ray: ModuleType, hands: list[Hand], *, ours: bool) -> None:
        super().__init__(hands)
        self._ray, self._ours = ray, ours

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._ours:
            self._ray.shutdown()


class _Actor(Hand):
    """An actor on any node with room; a lost one is made anew, on another node where its own is gone."""

    def __init__(self, ray: ModuleType, name: str, content: Any, threads: int, *, gpu: bool) -> None:
        self.name, self.lost, self._ray = name, (ray.exceptions.RayError,), ray
        options = {"num_cpus": 1, "num_gpus": int(gpu), "scheduling_strategy": "SPREAD", "max_restarts": 0}
        self._class, self._start = ray.remote(_Remote).options(**options), (content, threads, list(sys.path))
        self._actor: Any = None

    def start(self) -> "Future[Any]":
        if self._actor is None:
            self._actor = self._class.remote(*self._start)
        future: Future[Any] = self._actor.ready.remote().future()
        return future

    def do(self, job: Job) -> "Future[Done]":
        future: Future[Done] = self._actor.do.remote(job).future()
        return future

    def stop(self) -> None:
        if self._actor is not None:
            self._ray.kill(self._actor)
            self._actor = None


class _Remote:
    """What runs in an actor's process."""

    def __init__(self, content: bytes, threads: int, path: list[str]) -> None:
        torch.set_num_threads(threads)
        sys.path += [entry for entry in path if entry not in sys.path]
        self._worker = Worker(unpacked(content, "cuda:0" if torch.cuda.is_available() else "cpu"))

    def ready(self) -> None:
        """Nothing; answered when the plan is loaded."""

    def do(self, job: Job) -> Done:
        return self._worker.do(job)


def _ray() -> ModuleType:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what later versions do, without the warning
    try:
        import ray  # noqa: PLC0415 - an extra that most do without
        import ray.exceptions  # noqa: PLC0415
    except ImportError as error:
        raise UnsupportedError("executor 'ray' needs Ray: pip install 'xai-bench[ray]'") from error
    return ray


def _connect(ray: ModuleType, address: str | None) -> None:
    options = {"log_to_driver": False, "logging_level": logging.ERROR, "include_dashboard": None}
    try:
        ray.init(address=address, **options)
    except ConnectionError as error:
        where = address or os.environ.get("RAY_ADDRESS")
        if where:
            raise RunError(f"no Ray cluster at {where!r}; {START}: {_line(error)}") from error
        ray.init(address="local", **options)  # a cluster that ran here once is gone
    except (ValueError, RuntimeError) as error:  # other versions of Python or Ray there
        raise RunError(f"the Ray cluster cannot be used: {_line(error)}") from error


def _check_reachable(address: str) -> None:
    if address in ("auto", "local"):
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        raise InvalidValueError(f"address of a Ray cluster must be HOST:PORT, auto or local, got {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=REACHABLE).close()
    except OSError as error:
        raise RunError(f"no Ray cluster at {address!r}; {START}: {error}") from error


def _share(ray: ModuleType, workers: int | None, *, gpu: bool) -> tuple[int, int]:
    """How many workers, and how many threads each has."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores, gpus = (int(sum(node.get(kind, 0) for node in nodes)) for kind in ("CPU", "GPU"))
    most, kind = (gpus, "GPU") if gpu else (cores, "core")
    count = workers or (gpus if gpu else sum(node.get("CPU", 0) >= 1 for node in nodes))
    if not 0 < count <= most:
        raise RunError(f"{max(count, 1)} workers need a {kind} each, but the Ray cluster has {most} in all")
    return count, max(1, cores // count)


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
