"""The GitHub Action: its own scripts, carried out as GitHub would, with a Python that only notes what it is asked."""

import os
import re
import subprocess
from pathlib import Path

import page_code
import pytest
import yaml
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner

ROOT = Path(__file__).parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = ACTION["runs"]["steps"]
SCRIPTS = [step for step in STEPS if "run" in step]
EXPRESSION = re.compile(r"\${{ *(.+?) *}}")
HOSTILE = """a b"c'$(touch touched)`touch touched`;touch touched&&é"""

# Notes the words of every call, each ended by 0, the call by 1, and ends as RUN_CODE and CHECK_CODE say.
STUB = r"""#!/bin/bash
{ printf '%s\0' "$@"; printf '\1'; } >> "$CALLS"
code=0
if [ "$3" = run ]; then code="${RUN_CODE:-0}"; fi
if [ "$3" = check ]; then code="${CHECK_CODE:-0}"; fi
if [ -z "$NOTHING_STARTS" ]; then
  if [ "$3" = run ]; then mkdir -p "$5" && touch "$5/run.json"; fi
  if [ "$3" = check ] && [ "$code" != 2 ]; then touch "$5"; fi
fi
case "$code" in
  0 | 1 | 3) echo "100% said by $3"; echo "advice" >&2 ;;
  *) echo "100% said by $3" >&2 ;;
esac
exit "$code"
"""


class Runner:
    """A job on GitHub's machine, with a folder for everything."""

    def __init__(self, folder, monkeypatch):
        self.work, self.temp = folder / "work", folder / "temp"
        self.work.mkdir()
        (self.temp / "bin").mkdir(parents=True)
        stub = self.temp / "bin" / "python"
        stub.write_text(STUB, encoding="utf-8")
        stub.chmod(0o755)
        self.calls_file, self.summary_file = self.temp / "calls", self.temp / "summary.md"
        places = {
            "PATH": f"{stub.parent}{os.pathsep}{os.environ['PATH']}",
            "CALLS": str(self.calls_file),
            "GITHUB_STEP_SUMMARY": str(self.summary_file),
            "GITHUB_ACTION_PATH": str(self.temp / "the action"),
        }
        for name, value in places.items():
            monkeypatch.setenv(name, value)
        self.outputs, self.said = {}, ""

    def put(self, *names):
        for name in names:
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).touch()

    def start(self, **given):
        """Every script until one fails, as the inputs say; the exit code of the last."""
        unknown = {name.replace("_", "-") for name in given} - set(ACTION["inputs"])
        assert not unknown
        inputs = {name: facts["default"] for name, facts in ACTION["inputs"].items()}
        inputs |= {name.replace("_", "-"): value for name, value in given.items()}
        for step in SCRIPTS:
            if self.wanted(step, inputs) and (code := self.carry_out(step, inputs)):
                return code
        return 0

    def wanted(self, step, inputs):
        if "if" not in step:
            return True
        name, value = re.fullmatch(r"inputs\.([\w-]+) != '(.*)'", step["if"]).groups()
        return inputs[name] != value

    def carry_out(self, step, inputs):
        output = self.temp / "output"
        output.unlink(missing_ok=True)
        script = self.temp / "script.sh"
        script.write_text(step["run"], encoding="utf-8")
        env = {name: self.filled(value, inputs) for name, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.work / self.filled(step["working-directory"], inputs),
            env=os.environ | env | {"GITHUB_OUTPUT": str(output)},
            capture_output=True,
            text=True,
            check=False,
        )
        self.said += done.stdout + done.stderr
        lines = output.read_text(encoding="utf-8").splitlines() if output.exists() else []
        self.outputs |= {
            f"steps.{step.get('id')}.outputs.{line.partition('=')[0]}": line.partition("=")[2] for line in lines
        }
        return done.returncode

    def filled(self, value, inputs):
        known = {f"inputs.{name}": given for name, given in inputs.items()} | self.outputs
        return EXPRESSION.sub(lambda found: known[found[1]], value)

    def output(self, name):
        """An output of the action, the first that is set."""
        (expression,) = EXPRESSION.findall(ACTION["outputs"][name]["value"])
        return next((self.outputs[key] for key in expression.split(" || ") if key in self.outputs), "error")

    @property
    def calls(self):
        text = self.calls_file.read_text(encoding="utf-8") if self.calls_file.exists() else ""
        return [call.split("\0")[:-1] for call in text.split("\1")[:-1]]

    def call(self, command):
        (found,) = [words for words in self.calls if command in words[:3]]
        return found

    @property
    def summary(self):
        return self.summary_file.read_text(encoding="utf-8") if self.summary_file.exists() else ""


@pytest.fixture
def runner(tmp_path, monkeypatch):
    return Runner(tmp_path, monkeypatch)


@pytest.fixture
def ready(runner):
    runner.put("faithfulness.toml", "faithfulness.reference.json")
    return runner


@pytest.mark.parametrize(
    ("schema", "file"),
    [("github-actions", "action.yml"), ("github-workflows", "examples/gate/.github/workflows/faithfulness.yml")],
)
def test_the_files_fit_githubs_schemas(schema, file):
    done = CliRunner().invoke(check_jsonschema, ["--builtin-schema", f"vendor.{schema}", str(ROOT / file)])

    assert done.exit_code == 0, done.output


def test_no_input_is_pasted_into_a_script():
    assert [step["name"] for step in SCRIPTS if "${{" in step["run"]] == []
    assert all(step["shell"] == "bash" for step in SCRIPTS)


def test_every_input_and_output_is_used_and_exists():
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    used = set(re.findall(r"\binputs\.([\w-]+)", text))

    assert used == set(ACTION["inputs"])
    ids = {step["id"] for step in STEPS if "id" in step}
    assert set(re.findall(r"\bsteps\.([\w-]+)\.", text)) <= ids


def test_other_actions_are_named_at_a_version():
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in STEPS if "uses" in step)


def test_what_is_kept_is_kept_when_it_is_red():
    (keep,) = [step for step in STEPS if "upload-artifact" in step.get("uses", "")]

    assert keep["if"].startswith("always()")


def test_a_suite_is_installed_for_run_and_checked(ready):
    assert ready.start() == 0

    folder = str(ready.work / "runs/faithfulness")
    assert [words[:3] for words in ready.calls] == [
        ["-m", "pip", "install"],
        ["-m", "xai_bench.cli", "run"],
        ["-m", "xai_bench.cli", "check"],
    ]
    assert ready.call("install")[-2:] == ["--", os.environ["GITHUB_ACTION_PATH"]]
    assert ready.call("run")[3:] == ["--out", folder, "--device", "auto", "--quiet", "--", "faithfulness.toml"]
    assert ready.call("check")[-3:] == ["--", folder, "faithfulness.reference.json"]
    assert {"--margins", "--allow-undecided", "--fail-on", "--ignore"}.isdisjoint(ready.call("check"))
    assert (ready.output("verdict"), ready.output("exit-code"), ready.output("folder")) == ("pass", "0", folder)
    assert "::error" not in ready.said


def test_what_it_asks_for_exists(ready):
    """The real command line knows every option."""
    ready.put("faithfulness.margins.toml")
    ready.start(fail_on="deletion: drop > 0.02", ignore="random", allow_undecided="true")

    for command in ("run", "check"):
        page_code.check_command(ready.call(command)[2:])


@pytest.mark.parametrize(
    ("code", "verdict"), [(0, "pass"), (1, "regression"), (3, "undecided"), (2, "error"), (70, "error"), (137, "error")]
)
def test_the_exit_code_of_the_check_is_the_actions(ready, monkeypatch, code, verdict):
    monkeypatch.setenv("CHECK_CODE", str(code))

    assert ready.start() == code
    assert (ready.output("verdict"), ready.output("exit-code")) == (verdict, str(code))
    assert ("::error title=faithfulness" in ready.said) == (code != 0)
    nothing = "## Faithfulness: nothing could be checked\n\n    100% said by check\n"
    assert ready.summary == (nothing if verdict == "error" else "")


@pytest.mark.parametrize(("code", "verdict"), [(1, "regression"), (3, "undecided"), (2, "error")])
def test_the_annotation_is_the_sentence_with_its_per_cent(ready, monkeypatch, code, verdict):
    monkeypatch.setenv("CHECK_CODE", str(code))
    ready.start()

    assert f"::error title=faithfulness ({verdict})::100%25 said by check\n" in ready.said


def test_a_run_that_failed_in_part_is_checked_all_the_same(ready, monkeypatch):
    monkeypatch.setenv("RUN_CODE", "1")
    monkeypatch.setenv("CHECK_CODE", "1")

    assert ready.start() == 1
    assert ready.output("verdict") == "regression"


@pytest.mark.parametrize("there", [[], ["runs/faithfulness/run.json", "runs/faithfulness-check/junit.xml"]])
def test_a_python_where_nothing_starts_is_no_regression(ready, monkeypatch, there):
    """Its own exit code is 1; what an earlier job left changes nothing."""
    ready.put(*there)
    for name in ("RUN_CODE", "CHECK_CODE", "NOTHING_STARTS"):
        monkeypatch.setenv(name, "1")

    assert ready.start(version="none") == 70
    assert (ready.output("verdict"), ready.output("exit-code")) == ("error", "70")


def test_a_slash_at_the_end_of_the_run_folder_is_nothing(ready):
    assert ready.start(run_folder="runs/x//") == 0
    assert ready.output("folder") == str(ready.work / "runs/x")
    assert (ready.work / "runs/x-check").is_dir()


@pytest.mark.parametrize("code", [2, 70, 130])
def test_a_run_that_came_to_nothing_is_no_regression(ready, monkeypatch, code):
    monkeypatch.setenv("RUN_CODE", str(code))

    assert ready.start() == code
    assert (ready.output("verdict"), ready.output("exit-code")) == ("error", str(code))
    assert not any("check" in words[:3] for words in ready.calls)
    assert ready.summary == "## Faithfulness: the suite did not run\n\n    100% said by run\n"


@pytest.mark.parametrize(
    ("there", "given", "missing"),
    [
        (["faithfulness.reference.json"], {}, "faithfulness.toml"),
        (["faithfulness.toml"], {}, "faithfulness.reference.json"),
        (["faithfulness.toml", "faithfulness.reference.json"], {"margins": "none.toml"}, "none.toml"),
        (["faithfulness.toml", "faithfulness.reference.json"], {"requirements": "none.txt"}, "none.txt"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_missing_file_is_said_before_anything_is_installed(runner, there, given, missing):
    runner.put(*there)

    assert runner.start(**given) == 2
    assert f"::error title=faithfulness::{missing} is not in the repository" in runner.said
    assert (runner.calls, runner.output("verdict"), runner.output("exit-code")) == ([], "error", "2")


def test_the_files_beside_the_suite_are_found(runner):
    runner.put("ci/shapes.toml", "ci/shapes.reference.json", "ci/shapes.margins.toml")

    assert runner.start(suite="ci/shapes.toml") == 0
    check = runner.call("check")
    assert check[-1] == "ci/shapes.reference.json"
    assert check[check.index("--margins") + 1] == "ci/shapes.margins.toml"


def test_rules_come_one_a_line_and_empty_lines_are_nothing(ready):
    ready.start(fail_on="deletion: drop > 0.02\n\n  \n*: undefined > 0.05\n", ignore="random\n", allow_undecided="true")

    check = ready.call("check")
    assert [check[place + 1] for place, word in enumerate(check) if word == "--fail-on"] == [
        "deletion: drop > 0.02",
        "*: undefined > 0.05",
    ]
    assert check[check.index("--ignore") + 1] == "random"
    assert check.count("--allow-undecided") == 1


def test_nothing_of_an_input_is_carried_out(runner):
    names = {
        "suite": f"{HOSTILE}.toml",
        "reference": f"{HOSTILE}.json",
        "margins": f"-m{HOSTILE}",
        "requirements": HOSTILE,
    }
    place = "in a folder $(touch touched)"
    runner.put(*(f"{place}/{name}" for name in names.values()))
    others = dict.fromkeys(("version", "device", "torch_index", "fail_on", "ignore", "allow_undecided"), HOSTILE)

    assert runner.start(**names, **others, run_folder=f"-{HOSTILE}/run", working_directory=place) == 0, runner.said
    assert list(runner.work.parent.rglob("touched")) == []
    folder = str(runner.work / place / f"-{HOSTILE}" / "run")
    assert runner.call("run")[3:] == ["--out", folder, "--device", HOSTILE, "--quiet", "--", names["suite"]]
    check = runner.call("check")
    assert check[-3:] == ["--", folder, names["reference"]]
    assert check[check.index("--margins") + 1] == names["margins"]
    assert [check[check.index(option) + 1] for option in ("--fail-on", "--ignore")] == [HOSTILE, HOSTILE]
    assert runner.call("install")[-4:] == ["--requirement", HOSTILE, "--", HOSTILE]


def test_what_is_installed_already_is_taken(ready):
    ready.start(version="none")

    assert not any("pip" in words for words in ready.calls)


def test_pip_is_told_of_the_index_by_its_own_variable():
    (install,) = (step for step in ACTION["runs"]["steps"] if step["name"] == "Install xai-bench")

    assert install["env"]["PIP_EXTRA_INDEX_URL"] == "${{ inputs.torch-index }}"
