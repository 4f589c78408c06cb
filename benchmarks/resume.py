"""How long a finished run of 100,000 rows takes to start again and to be read, beyond imports. `make bench`."""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.dataset  # noqa: F401 - as pandas, loaded before the clock runs

from xai_bench.results import Results
from xai_bench.runs.store import SCHEMA, Folder, Unit

MODELS, EXPLAINERS, METRICS, STEPS, BATCH = 2, 10, 5, 28, 7
SPEC = "removal=blur(sigma=0.1,kernel=gaussian);unit=pixel;order=morf;ties=random;output=probability;target=predicted"


def info(images: int) -> dict[str, object]:
    """run.json of a run that never was."""
    metrics = {
        f"metric{number}": {"name": "m", "scope": "image", "reduction": "mean", "version": 1, "spec": SPEC}
        for number in range(METRICS)
    }
    return {
        "schema": SCHEMA,
        "created": "2026-01-01T00:00:00+00:00",
        "seed": 0,
        "target": "predicted",
        "precision": "fp32",
        "models": {f"model{number}": {"fingerprint": "0123456789ab"} for number in range(MODELS)},
        "data": {"data": {"fingerprint": "ba9876543210", "n": images}},
        "explainers": {f"explainer{number}": {"spec": f"explainer{number}()"} for number in range(EXPLAINERS)},
        "metrics": metrics,
    }


def units(images: int) -> Iterator[Unit]:
    """One model x one batch each, every metric with a curve."""
    rng, fractions = np.random.default_rng(0), np.linspace(0, 1, STEPS).tolist()
    for model in range(MODELS):
        for start in range(0, images, BATCH):
            unit = Unit()
            for explainer in range(EXPLAINERS):
                for metric in range(METRICS):
                    for image in range(start, min(start + BATCH, images)):
                        cell, sample = (
                            ("data", f"model{model}", f"explainer{explainer}", f"metric{metric}"),
                            f"{image:06}",
                        )
                        stamp = (0, "fp32", "cpu", "model=0123456789ab data=ba9876543210", f"explainer{explainer}()")
                        score = float(rng.random())
                        unit.rows.append((*cell, 1, SPEC, sample, 3, score, "", float("nan"), *stamp))
                        values = rng.random(STEPS).tolist()
                        unit.points.extend((*cell, sample, f, v) for f, v in zip(fractions, values, strict=True))
            yield unit


def main() -> None:
    """Make the run, then time each step of starting it again."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, default=1000)
    options.add_argument("--run", type=Path, help="where to keep the run, or where it is already")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as spare:
        folder, facts = chosen.run or Path(spare) / "run", info(chosen.images)
        if not (folder / "run.json").exists():
            with Folder(folder, facts, "seed = 0\n") as sink:
                for unit in units(chosen.images):
                    sink.add(unit)
        seconds = [time.perf_counter()]
        with Folder(folder, facts, "seed = 0\n") as sink:
            done = sink.done()
            seconds.append(time.perf_counter())
            results = Results(sink.run(), folder)
            seconds.append(time.perf_counter())
        points = len(results.curves)
        seconds.append(time.perf_counter())
    spent = [round(after - before, 2) for before, after in pairwise(seconds)]
    names = ("open and find what is there", "read the results", "read the curves")
    print(
        json.dumps(
            {"rows": len(results.scores), "cells": len(done), "points": points} | dict(zip(names, spent, strict=True))
        )
    )


if __name__ == "__main__":
    main()
