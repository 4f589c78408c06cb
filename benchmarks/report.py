"""How long a report of a large run takes, in how much memory, and how large its page is."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Line
from benchmarks.jobs import Size
from benchmarks.stored import Shape, write

WRITE = """
import json, resource, sys, time
from pathlib import Path
start, processor = time.perf_counter(), time.process_time()
from xai_bench.results import load_results
page = load_results(sys.argv[1]).report(Path(sys.argv[2]))
found = {"seconds": time.perf_counter() - start, "processor": time.process_time() - processor}
found["gigabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
found["page"] = page.stat().st_size / 1e6
found["torch"] = "torch" in sys.modules
print(json.dumps(found))
"""


def report(shape: Shape) -> dict[str, float]:
    """One report in a process of its own: seconds, processor seconds, peak GB, MB of the page, whether torch came."""
    with tempfile.TemporaryDirectory() as folder:
        write(shape, Path(folder) / "run")
        command = [sys.executable, "-c", WRITE, f"{folder}/run", f"{folder}/report"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def lines(size: Size) -> Iterator[Line]:
    """1,000 images x 10 explainers x 10 metrics; fewer where fewer were asked for."""
    shape = Shape(size.reported, gallery=min(size.reported, 24))
    found = report(shape)
    if found["torch"]:
        raise AssertionError("a report has imported torch")
    note = f"{shape.images} images x 10 explainers x 10 metrics, 24 in the gallery, without torch; no ratio"
    for name, key in {
        "report, seconds": "seconds",
        "report, processor seconds": "processor",
        "report, peak memory in GB": "gigabytes",
        "report, MB of the page": "page",
    }.items():
        yield Line(name, (found[key],), note)


if __name__ == "__main__":
    print(json.dumps(report(Shape(int(sys.argv[1]), gallery=int(sys.argv[2])))))
