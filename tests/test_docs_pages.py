"""What the written pages show is carried out: their Python runs, their suites are suites, their commands exist."""

import re
from pathlib import Path

import click
import page_code
import pytest
from click.testing import CliRunner

from xai_bench.cli import cli
from xai_bench.explainers import EXPLAINERS
from xai_bench.metrics import METRICS
from xai_bench.reports import figures, tables
from xai_bench.runs.suite import Suite

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
RUN = ("your-metric.md", "your-explainer.md", "your-model.md", "your-data.md")


def text(page):
    return (DOCS / page).read_text(encoding="utf-8")


WITH_SUITES = [page for page in PAGES if page_code.suites(text(page))]
WITH_COMMANDS = [page for page in PAGES if page_code.commands(text(page))]


@pytest.fixture(scope="module")
def furnished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    page_code.furnish(folder)
    return folder


@pytest.mark.parametrize("page", RUN)
def test_the_python_of_a_page_runs(page, furnished, monkeypatch):
    monkeypatch.chdir(furnished)
    with page_code.Reader(furnished) as reader:
        reader.read(text(page))

    assert "xb" in reader.names


def test_the_first_hour_can_be_followed(furnished, monkeypatch):
    """Its commands, but the demo and a second report, then its Python."""
    monkeypatch.chdir(furnished)
    page = text("first-hour.md")
    for name, suite in page_code.files(page).items():
        (furnished / name).write_text(suite, encoding="utf-8")
    for words in page_code.commands(page):
        if words[0] not in ("demo", "report"):
            done = CliRunner().invoke(cli, words, catch_exceptions=False)
            assert done.exit_code == 0, (words, done.output)
    with page_code.Reader(furnished) as reader:
        reader.read(page)

    assert set(reader.names["pairs"]["a"]) | set(reader.names["pairs"]["b"]) == {
        "gradcam",
        "ig(steps=16)",
        "random",
        "centre",
    }
    assert all((furnished / path).exists() for path in re.findall(r"{(runs/first/[^}]*)}", page))
    assert (furnished / "explanation.png").exists()


def test_reading_a_report_speaks_of_every_table_and_figure():
    page = text("reading-a-report.md")
    names = [*tables.NAMES, *(drawing.name for drawing in getattr(figures, "FIGURES", ()))]

    assert [name for name in names if f"| `{name}` |" not in page] == []


def of_files(entry):
    """Whether an explainer is the reader's own code or maps."""
    name = entry["name"] if isinstance(entry, dict) else entry
    return name.partition(":")[0] in ("python", "maps")


@pytest.mark.parametrize("page", WITH_SUITES)
def test_the_suites_of_a_page_are_suites(page):
    for table in page_code.suites(text(page)):
        suite = Suite.of(table)
        ours = [entry for entry in suite.metrics if not str(entry).startswith("python:")]

        assert [METRICS.build(entry) for entry in ours]
        assert all(EXPLAINERS.build(one) for one in suite.explainers if not of_files(one))


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_the_commands_of_a_page_exist(page):
    for words in page_code.commands(text(page)):
        page_code.check_command(words)


@pytest.mark.parametrize(
    "words", [["rnu", "a.toml"], ["run", "a.toml", "--outt", "x"], ["explain", "photo.jpg"]], ids=str
)
def test_a_command_that_does_not_exist_is_found(words):
    with pytest.raises(click.UsageError):
        page_code.check_command(words)


def test_the_pages_that_teach_hold_code():
    assert all(len(page_code.blocks(text(page), "python")) >= 3 for page in RUN)
    assert set(RUN) <= set(WITH_SUITES)
    assert {"index.md", "your-model.md"} <= set(WITH_COMMANDS)
