"""The peak memory of a run of many images against that of a few: `python -m benchmarks.memory IMAGES` is one run."""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import xai_bench as xb
from benchmarks.harness import Line, line, rounds
from benchmarks.jobs import Size

ROOT = Path(__file__).resolve().parents[1]


def peak(images: int, size: Size) -> float:
    """MiB at the highest point of a run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", str(images), size.small_model, str(size.small)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return float(done.stdout)


def lines(size: Size) -> Iterator[Line]:
    """Many against few."""
    jobs = {str(images): lambda images=images: peak(images, size) for images in (size.few, size.many)}
    found = rounds(jobs, size.rounds, lambda run: run())
    name = f"peak memory, {size.many} / {size.few} images"
    note = (
        f"{min(found[str(size.few)]):.0f} MiB for {size.few} images; {size.small_model} at {size.small}, batches of 32"
    )
    yield line(name, found, str(size.many), str(size.few), note)


def _run(images: int, name: str, pixels: int) -> None:
    """One run that is kept in a folder, as large runs are."""
    data = xb.load_data("planted", n=images, size=pixels)
    model = xb.load_model(f"timm:{name}", pretrained=False, input_size=pixels)
    metrics = [{"name": "deletion", "steps": 2}, "pointing_game"]
    with tempfile.TemporaryDirectory() as folder:
        xb.evaluate(model, ["centre", "random"], metrics, data, out=folder, gallery=0, progress=False)


if __name__ == "__main__":
    _run(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))
