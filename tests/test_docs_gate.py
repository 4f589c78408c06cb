"""The page that sets a gate up: its files are what services and the package accept, its sentences are ours."""

import re
import tomllib
from pathlib import Path

import page_code
import pytest
import yaml
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner

from xai_bench.gate import VERDICTS, Margins
from xai_bench.gate.check import CODES, FAILED

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
PROJECT = (ROOT / "examples" / "gate" / "README.md").read_text(encoding="utf-8")
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "xai_bench").rglob("*.py")))


def rows(heading):
    """Cells of the tables in a section of the page."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)[1]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def refusals():
    return [said for row in rows("When it refuses")[1:] for said in re.findall("`([^`]*)`", row[0])]


def test_the_margins_of_the_page_are_margins():
    found = [Margins.given(tomllib.loads(code)) for code in page_code.blocks(PAGE, "toml")]

    assert found[0].ignore == ("random",)
    assert found[0].margins == {"deletion": 0.02, "pointing_game(tolerance=15)": 0.05, "*": 0.03}


def test_the_verdicts_and_their_codes_are_told():
    told = {row[0].strip("`"): int(row[2]) for row in rows("What it says") if row[0].startswith("`")}

    assert tuple(told) == VERDICTS
    assert {verdict for verdict, code in told.items() if code == CODES["regression"]} == set(FAILED)
    assert told["undecided"] == CODES["undecided"]


@pytest.mark.parametrize("said", refusals())
def test_a_refusal_of_the_page_is_one_of_ours(said):
    pattern = r'(?:"\s*f?")?'.join(map(re.escape, said))  # a sentence may go over two lines of a source

    assert re.search(pattern, SOURCE)


def test_the_refusals_are_read_from_the_page():
    assert {"hold other images", "its digest does not fit", "--fail-on takes"} <= set(refusals())


@pytest.mark.parametrize(("number", "schema"), [(0, "github-workflows"), (1, "gitlab-ci")])
def test_the_files_of_services_fit_their_schemas(number, schema, tmp_path):
    file = tmp_path / "file.yml"
    file.write_text(page_code.blocks(PAGE, "yaml")[number], encoding="utf-8")
    done = CliRunner().invoke(check_jsonschema, ["--builtin-schema", f"vendor.{schema}", str(file)])

    assert done.exit_code == 0, done.output


def test_the_inputs_of_the_action_are_told_with_their_defaults():
    told = {name: row[1].strip("`") for row in rows("GitHub")[1:] for name in re.findall("`([^`]*)`", row[0])}
    plain = {name: facts["default"] for name, facts in ACTION["inputs"].items() if facts["default"]}
    named = {name: value for name, value in plain.items() if not value.startswith("http")}

    assert set(told) == set(ACTION["inputs"])
    assert {name: told[name] for name in named} == named


def test_the_workflow_gives_inputs_that_there_are():
    for text in (page_code.blocks(PAGE, "yaml")[0], workflow()):
        steps = yaml.safe_load(text)["jobs"]["gate"]["steps"]

        assert set(steps[-1]["with"]) <= set(ACTION["inputs"])


def workflow():
    return (ROOT / "examples/gate/.github/workflows/faithfulness.yml").read_text(encoding="utf-8")


def test_the_commands_of_the_job_and_of_the_project_exist():
    job = yaml.safe_load(page_code.blocks(PAGE, "yaml")[1])["faithfulness"]
    page = "```sh\n{}\n```\n".format("\n".join(job["script"]))
    found = [words for text in (page, PROJECT) for words in page_code.commands(text) if words]

    assert [words[0] for words in found] == ["run", "check"] * 3
    for words in found:
        page_code.check_command(words)
