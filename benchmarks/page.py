"""How large the page of a report is, and how soon a browser paints it: 200 images x 10 explainers x 4 metrics."""

import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Line
from benchmarks.jobs import Size
from benchmarks.stored import Shape, write
from xai_bench.results import load_results

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def lines(size: Size) -> Iterator[Line]:
    """Size, and the time to the first paint where there is a browser; one in a new tab for each round."""
    images = min(size.reported, 200)
    with tempfile.TemporaryDirectory() as folder:
        page = report(images, Path(folder))
        note = f"{images} images x 10 explainers x 4 metrics, all in the explorer; no ratio"
        yield Line("page, MB", (page.stat().st_size / 1e6,), note)
        if times := paints(page, size.rounds):
            yield Line("page, seconds to the first paint", tuple(times), f"{note}; headless Chromium, from a file")


def report(images: int, folder: Path) -> Path:
    """The page of a run that never was, with as many images in its gallery as in its scores."""
    write(Shape(images, metrics=4, curves=4, gallery=images), folder / "run")
    return load_results(folder / "run").report(folder / "report")


def paints(page: Path, rounds: int) -> list[float]:
    """Seconds from the start of the navigation, by the browser's own clock; none without browser or playwright."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - of the development packages
    except ImportError:
        return []
    if path is None:
        return []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        found = []
        for _ in range(rounds):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.goto(page.as_uri())
            paint = "performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)[0]"
            found.append(tab.evaluate(paint) / 1000)
            tab.close()
        browser.close()
    return found


if __name__ == "__main__":
    target = Path(sys.argv[1])
    times = paints(target, 5)
    print(f"{target.stat().st_size / 1e6:.2f} MB, first paint {statistics.median(times):.3f} s of {sorted(times)}")
