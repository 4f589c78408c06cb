"""On a GPU: the share of the bare rate, where the time goes, and what ImageNet would take."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch.profiler import ProfilerActivity, profile, record_function

import xai_bench as xb
from benchmarks.harness import Line, line, passes, rounds
from benchmarks.jobs import (
    EXPLAINERS,
    PRECISIONS,
    Bare,
    Scoring,
    Size,
    loaded,
    metrics,
    pictures,
    prepared,
    smooth_maps,
)
from xai_bench import api
from xai_bench.engine import Case, Engine, Precision, Scene, case, scene

MODELS = {"ResNet-50": "resnet50", "ViT-B": "vit_base_patch16_224"}
IMAGES = 32
IMAGENET, MAPS = 50_000, 10
PHASES: dict[str, Sequence[tuple[Any, str]]] = {  # phase -> the functions in which it happens
    "explain": [(api, "run_explainer")],
    "rank": [(Case, "ranks"), (case, "unrankable")],
    "alter": [(Scene, "_altered")],
    "forward": [(Engine, "logits")],
    "read": [(scene, "read")],
}


def lines(size: Size) -> Iterator[Line]:
    """All models at both precisions; nothing without a GPU."""
    if torch.cuda.is_available():
        for title, name in MODELS.items():
            for precision in PRECISIONS:
                yield from of_model(title, name, precision, size, IMAGES)


def of_model(title: str, name: str, precision: Precision, size: Size, images: int) -> Iterator[Line]:
    """The share of the bare rate with ImageNet's extrapolation, then the share of each phase."""
    engine = prepared(loaded(name, size.pixels), precision, size.pixels)
    batch = pictures(images, size.pixels)
    ours = Scoring(batch, smooth_maps(batch, len(EXPLAINERS)), metrics()[:2], engine)
    needed = passes(engine.eyes.module, ours)
    Bare(engine, batch, engine.chunk)()
    jobs = {"ours": finished(ours), "bare": finished(Bare(engine, batch, needed))}
    times = rounds(jobs, size.rounds, size.measure)
    hours = IMAGENET * MAPS * statistics.median(times["ours"]) / (images * len(EXPLAINERS)) / 3600
    rate = needed / statistics.median(times["ours"])
    note = (
        f"{needed} passes in chunks of {engine.chunk}, {rate:.0f} a second; "
        f"{IMAGENET} images x {MAPS} explainers, deletion and insertion, without explaining: {hours:.1f} hours"
    )
    yield line(f"share of the bare rate, {title}, {precision}", times, "bare", "ours", note)
    yield from shares(f"{title}, {precision}", ours, size)


def finished(work: Callable[[], object]) -> Callable[[], None]:
    """The work, and waiting until the GPU has done it."""

    def done() -> None:
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return done


@contextmanager
def phases_recorded() -> Iterator[None]:
    """Each phase stands under its name in what torch's profiler records."""

    def recorded(phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            with record_function(phase):
                return function(*args, **keywords)

        return call

    with ExitStack() as stack:
        for phase, places in PHASES.items():
            for owner, name in places:
                stack.enter_context(mock.patch.object(owner, name, recorded(phase, getattr(owner, name))))
        yield


def profiled(scoring: Scoring) -> tuple[dict[str, float], float]:
    """Seconds of the device (of the processor where there is no GPU) in each phase, and of the wall clock in all."""
    on_gpu = scoring.engine.model.device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu

    def work() -> None:
        maps = [
            xb.explain(name, scoring.engine.model, scoring.batch.images, ids=scoring.batch.ids) for name in EXPLAINERS
        ]
        Scoring(scoring.batch, maps, scoring.metrics, scoring.engine)()

    finished(work)()
    with phases_recorded(), profile(activities=activities) as profiler:
        start = time.perf_counter()
        finished(work)()
        wall = time.perf_counter() - start
    events = {event.key: event for event in profiler.key_averages() if not on_gpu or event.device_type.name == "CPU"}
    found = {phase: events[phase] for phase in PHASES if phase in events}
    spent = {phase: event.device_time_total if on_gpu else event.cpu_time_total for phase, event in found.items()}
    return {phase: microseconds / 1e6 for phase, microseconds in spent.items()}, wall


def shares(of: str, scoring: Scoring, size: Size) -> Iterator[Line]:
    """Each phase's share of the wall time; `host` is the time in which no phase keeps the device busy."""
    runs = [profiled(scoring) for _ in range(size.rounds)]
    for phase in PHASES:
        yield Line(
            f"time in {phase}, {of}", tuple(spent.get(phase, 0.0) / wall for spent, wall in runs), "explaining in it"
        )
    idle = tuple(max(0.0, 1 - sum(spent.values()) / wall) for spent, wall in runs)
    yield Line(f"time in host, {of}", idle, "explaining in it; no phase keeps the device busy")
