"""What one forward pass costs as there are more images, steps, explainers or processes."""

from collections.abc import Callable, Iterator
from functools import partial

import xai_bench as xb
from benchmarks.harness import Line, line, passes, rounds
from benchmarks.jobs import STEPS, Scoring, Size, loaded, metrics, pictures, prepared, smooth_maps

IMAGES, FACTORS, WORKERS = 4, (2, 4), (1, 2)
AXES = ("images", "steps", "explainers")


def lines(size: Size) -> Iterator[Line]:
    """Time for each pass with two and four times as much, over that with as much; 1 is linear."""
    engine = prepared(loaded(size.small_model, size.small), "fp32", size.small)

    def scoring(images: int = 1, steps: int = 1, explainers: int = 1) -> Scoring:
        batch = pictures(IMAGES * images, size.small)
        return Scoring(batch, smooth_maps(batch, explainers), metrics(steps=STEPS * steps), engine)

    jobs = {(axis, factor): scoring(**{axis: factor}) for axis in AXES for factor in FACTORS} | {("", 1): scoring()}
    needed = {name: passes(engine.eyes.module, job) for name, job in jobs.items()}
    times = rounds({str(name): job for name, job in jobs.items()}, size.rounds, size.measure)
    for axis, factor in jobs:
        if axis:
            count, once = needed[axis, factor], needed["", 1]
            name = f"time per pass, {factor} x the {axis}"
            note = f"{size.small_model} at {size.small}: {count} against {once} passes; 1 is linear"
            yield line(name, times, str((axis, factor)), str(("", 1)), note, scale=once / count)


def in_processes(size: Size) -> Iterator[Line]:
    """`evaluate` in worker processes against the same in this one."""
    data = xb.load_data("planted", n=size.process_images, size=size.small, batch_size=8)
    evaluate: Callable[..., object] = partial(
        xb.evaluate,
        {"name": f"timm:{size.small_model}", "pretrained": False, "input_size": size.small},
        ["centre", "edges"],
        ["deletion", "insertion"],
        data,
        gallery=0,
        progress=False,
    )
    jobs = {"local": evaluate} | {
        str(workers): partial(evaluate, executor="processes", workers=workers) for workers in WORKERS
    }
    evaluate()  # warmed up; the others start new processes each time
    times = rounds(jobs, size.rounds, size.measure)
    for workers in WORKERS:
        note = f"{len(data)} images of {size.small_model} at {size.small}, starting the processes included"
        yield line(f"local / processes, {workers} workers", times, "local", str(workers), note)
