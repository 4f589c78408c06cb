"""Scoring against the bare forward passes that it needs.

Bare is the model as it was loaded; runs fold batch normalisation into the convolutions, which is part of the design.
"""

from collections.abc import Iterator

from torch import nn

import xai_bench as xb
from benchmarks.harness import Line, line, passes, rounds
from benchmarks.jobs import (
    EXPLAINERS,
    METRIC_NAMES,
    PRECISIONS,
    Bare,
    Scoring,
    Size,
    backward_passes,
    loaded,
    metrics,
    pictures,
    prepared,
    smooth_maps,
)
from xai_bench.engine import Engine
from xai_bench.types import Batch


def lines(size: Size) -> Iterator[Line]:
    """All models at both precisions with maps given, folded as in runs and not; then the whole of `evaluate`."""
    batch = pictures(size.images, size.pixels)
    for title, name in size.models.items():
        for precision in PRECISIONS:
            model = loaded(name, size.pixels)
            yield given_maps(title, prepared(model, precision, size.pixels), batch, size)
            if any(isinstance(part, nn.BatchNorm2d) for part in model.module.modules()):
                as_loaded = prepared(model, precision, size.pixels, fold=False)
                yield given_maps(f"{title} without folding", as_loaded, batch, size)
    for title, name in list(size.models.items())[: size.evaluated]:
        yield with_explaining(title, name, size)


def given_maps(title: str, engine: Engine, batch: Batch, size: Size) -> Line:
    """Deletion, insertion and pointing game of five maps for each image."""
    ours = Scoring(batch, smooth_maps(batch, len(EXPLAINERS)), metrics(), engine)
    needed = passes(engine.eyes.module, ours)
    Bare(engine, batch, engine.chunk)()
    bare = Bare(engine, batch, needed)
    times = rounds({"ours": ours, "bare": bare}, size.rounds, size.measure)
    note = f"{needed} passes in chunks of {engine.chunk}; maps given; bare: the model as it was loaded"
    return line(f"ours / bare, {title}, {engine.precision}", times, "ours", "bare", note)


def with_explaining(title: str, name: str, size: Size) -> Line:
    """`evaluate` in memory with five explainers, against the passes of its scoring and of its explaining."""
    model = loaded(name, size.pixels)
    data = xb.load_data("planted", n=size.images, size=size.pixels)
    batch, engine = data.batch(0, size.images), prepared(model, "fp32", size.pixels)
    maps = []

    def explain() -> None:
        maps.extend(xb.explain(explainer, model, batch.images, ids=batch.ids) for explainer in EXPLAINERS)

    explained = passes(model.module, explain)
    scored = passes(engine.eyes.module, Scoring(batch, maps, metrics(), engine))
    forward = Bare(engine, batch, scored)

    def ours() -> None:
        xb.evaluate(model, list(EXPLAINERS), list(METRIC_NAMES), data, gallery=0, progress=False)

    def bare() -> None:
        forward()
        backward_passes(model, batch, explained)

    ours()
    times = rounds({"ours": ours, "bare": bare}, size.rounds, size.measure)
    note = f"evaluate() with {', '.join(EXPLAINERS)}: {scored} forward and {explained} forward-backward passes"
    return line(f"ours / bare, {title}, fp32, explaining included", times, "ours", "bare", note)
