"""What the documents promise: links lead somewhere, commands and code exist."""

import re
import tomllib
from pathlib import Path

import pytest

from xai_bench.cli import cli
from xai_bench.runs.suite import Suite
from xai_bench.studies.ersm import ErsmSettings
from xai_bench.training import TrainSuite

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    dead = [link for link in links if "://" not in link and not (page.parent / link).exists()]

    assert dead == []


def test_the_first_screen_has_both_commands_the_picture_and_whom_we_are_not():
    first = "\n".join(README.splitlines()[:25])

    assert "make demo" in first
    assert "make test" in first
    assert "docs/images/report.png" in first
    assert "Not affiliated with [abacusai/xai-bench]" in first


def test_every_command_in_the_readme_exists():
    used = set(re.findall(r"xai-bench (\w+)", "\n".join(blocks("sh"))))

    assert used <= set(cli.commands)
    assert {"run", "report", "explain"} <= used


def test_the_suite_in_the_readme_is_one():
    suite = Suite.of(tomllib.loads(blocks("toml")[0]))

    assert suite.metrics[1] == "insertion@rise"


def test_the_python_in_the_readme_runs(capsys):
    exec(blocks("python")[0], {})

    assert "tensor" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", sorted(path.name for path in (ROOT / "examples").glob("*.toml") if not path.name.startswith("ersm"))
)
def test_the_example_suites_are_suites(name, monkeypatch):
    monkeypatch.setenv("XAI_BENCH_REALSET", "/somewhere")

    monkeypatch.setenv("XAI_BENCH_DATA", "/somewhere")
    kind = TrainSuite if name.startswith("train") else Suite

    assert kind.read(ROOT / "examples" / name).models


def test_the_example_study_is_read(monkeypatch):
    monkeypatch.setenv("XAI_BENCH_DATA", "/somewhere")
    study = ErsmSettings.read(ROOT / "examples/ersm_birds.toml")

    assert (study.data["path"], study.trains_backbone) == ("/somewhere", False)


def test_the_example_script_runs(capsys):
    exec((ROOT / "examples" / "compare.py").read_text(encoding="utf-8"), {})

    assert "energy" in capsys.readouterr().out
