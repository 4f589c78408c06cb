"""How long a finished run of 100,000 rows takes to start again and to be read, beyond imports. `make bench`."""

import argparse
import json
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import pyarrow.dataset  # noqa: F401 - as pandas, loaded before the clock runs

from benchmarks.stored import Shape, write
from xai_bench.results import Results
from xai_bench.runs.store import Folder


def main() -> None:
    """Make the run, then time each step of starting it again."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, default=1000)
    options.add_argument("--run", type=Path, help="where to keep the run, or where it is already")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as spare:
        folder, shape = chosen.run or Path(spare) / "run", Shape(chosen.images, models=2, metrics=5, curves=5)
        if not (folder / "run.json").exists():
            write(shape, folder)
        seconds = [time.perf_counter()]
        with Folder(folder, shape.info(), "seed = 0\n") as sink:
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
