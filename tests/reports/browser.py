"""Pages in headless Chromium: opened from a file, every complaint and every request to elsewhere noted."""

import base64
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xai_bench.reports import analyse, findings
from xai_bench.reports.page import page as rendered
from xai_bench.reports.tables import SHEETS

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@contextmanager
def chromium():
    """A browser; the test is skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH; apt-get install chromium")
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; pip install '.[dev]'")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """An opened page with what went wrong on it."""

    def __init__(self, browser, file: Path, **context):
        self.complaints: list[str] = []
        self.tab = browser.new_page(viewport={"width": 1200, "height": 900}, **context)
        self.tab.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", self._asked)
        self.home = file.as_uri()
        self.tab.goto(self.home)

    def _asked(self, request):
        if request.url != self.home and not request.url.startswith(("data:", f"{self.home}#")):
            self.complaints.append(f"asked for {request.url}")

    def slide(self, name: str, value: int) -> None:
        """A slider moved as by hand."""
        self.tab.locator(f"#{name}").evaluate(
            "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }", value
        )

    def pixels(self, selector: str, place: int = 0) -> np.ndarray:
        """What a canvas shows, (H, W, 4) uint8."""
        found = self.tab.locator(selector).nth(place).evaluate("canvas => canvas.toDataURL('image/png')")
        content = base64.b64decode(found.removeprefix("data:image/png;base64,"))
        return np.asarray(Image.open(BytesIO(content)).convert("RGBA"))

    def texts(self, selector: str) -> list[str]:
        return [text.strip() for text in self.tab.locator(selector).all_inner_texts()]

    def wait(self, selector: str, text: str) -> None:
        """Until the first such element says this."""
        self.tab.locator(selector).filter(has_text=re.compile(text)).first.wait_for(state="attached")

    def explore(self) -> None:
        """To the map explorer, until its maps are there."""
        self.tab.locator("#explorer").scroll_into_view_if_needed()
        self.tab.wait_for_selector(".tile canvas.over")

    def chart(self) -> None:
        """To the mean curves, until they are drawn."""
        self.tab.locator("#curves-app").scroll_into_view_if_needed()
        self.tab.locator("#curves-charts canvas").first.wait_for()
        self.tab.locator("#curves-charts .plot").first.scroll_into_view_if_needed()


@contextmanager
def visit(browser, file: Path, **context) -> Iterator[Visit]:
    found = Visit(browser, file, **context)
    yield found
    found.tab.close()
    assert not found.complaints, "; ".join(found.complaints)


def written(run, folder: Path) -> Path:
    """The page alone, without figures, which take longer than all the rest."""
    file = folder / "index.html"
    analysis = analyse(run)
    sheets = [sheet for make in SHEETS if (sheet := make(analysis)) is not None]
    file.write_text(rendered(analysis, {}, sheets, findings(analysis)), encoding="utf-8")
    return file
