"""What the tests of every study use."""

import pytest


@pytest.fixture
def drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each figure as the svg of the page alone, for a second start: the first has written pdf and png too."""
    monkeypatch.setattr("xai_bench.reports.study_page.FORMATS", ("svg",))
