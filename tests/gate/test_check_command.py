"""`xai-bench check` as a person and a machine type it: what is printed, what is written, and the exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import junitparser
import numpy as np
import pandas as pd
import pytest

from xai_bench import references
from xai_bench.errors import RunError
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run

N = 40
LONG = "n" * 300
NOISE = np.random.default_rng(0).normal(0, 0.01, N)
OLD = 0.3 + np.random.default_rng(1).uniform(0, 0.2, N)
CARDS = {
    "deletion": {"name": "deletion", "better": "lower", "scope": "image", "low": 0.0, "high": 1.0, "version": 1},
    "insertion": {"name": "insertion", "better": "higher", "scope": "image", "low": 0.0, "high": 1.0, "version": 1},
}
PLAIN = {"data": "photos", "model": "m", "explainer": "gradcam", "metric": "deletion", "version": 1, "spec": "steps=28"}
PLAIN |= {"target": 3, "reason": "", "error": np.nan, "clean": 0.8, "seed": 0, "precision": "fp32", "device": "cpu"}
PLAIN |= {"fingerprints": "model=aa;data=bb", "explainer_spec": "gradcam()"}
GREEN, RED, UNDECIDED = OLD, OLD + 0.1 + NOISE - NOISE.mean(), OLD + 0.01 + 10 * (NOISE - NOISE.mean())


def cell(scores, **changed):
    return pd.DataFrame([PLAIN | {"sample": f"s{i:02}", "score": score} | changed for i, score in enumerate(scores)])


def run_of(*cells):
    frame = pd.concat(cells, ignore_index=True)[list(SCORE_COLUMNS)]
    return Run(frame, pd.DataFrame(columns=list(CURVE_COLUMNS)), CARDS, {}, {"created": "2026-01-01T00:00:00+00:00"})


@pytest.fixture
def files(tmp_path):
    """A reference, and runs in the form of references, which are read the same way."""
    made = {"reference": cell(OLD), "green": cell(GREEN), "red": cell(RED), "undecided": cell(UNDECIDED)}
    for name, rows in made.items():
        references.write(run_of(rows, cell(1 - rows["score"], metric="insertion")), tmp_path / f"{name}.json", "abc")
    references.write(run_of(cell(OLD)), tmp_path / "smaller.json", "abc")
    return tmp_path


def typed(folder, *words, **environment):
    """As a shell runs it."""
    variables = {name: value for name, value in os.environ.items() if name != "GITHUB_STEP_SUMMARY"} | environment
    command = [sys.executable, "-m", "xai_bench.cli", "check", *words]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


def test_the_margins_beside_the_reference_are_taken_and_named(files):
    (files / "reference.json").rename(files / "suite.reference.json")
    (files / "suite.margins.toml").write_text("[margins]\n'*' = 0.5\n")
    (files / "other.toml").write_text("[margins]\n'*' = 0.01\n")
    beside, other = (
        typed(files, "red.json", "suite.reference.json", *more) for more in ((), ("--margins", "other.toml"))
    )

    assert (beside.returncode, other.returncode) == (0, 1)
    assert "margins: suite.margins.toml" in beside.stderr
    assert "margins:" not in other.stderr


# -- exit codes, as a shell sees them


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["green.json", "reference.json"], 0, "Nothing got worse: 2 of 2 cells pass."),
        (["red.json", "reference.json"], 1, "2 of 2 cells got worse: deletion of gradcam on m by 0.1 (margin 0.02)"),
        (["undecided.json", "reference.json"], 3, "2 of 2 cells cannot be told"),
        (["red.json", "nowhere.json"], 2, "error: "),
    ],
)
def test_every_outcome_has_its_exit_code(files, words, code, said):
    found = typed(files, *words)

    assert found.returncode == code
    assert said in (found.stdout if code != 2 else found.stderr)
    assert "Traceback" not in found.stderr


def test_a_crash_is_neither_a_regression_nor_a_pass(files):
    (files / "planted").mkdir()
    (files / "planted/tabulate.py").write_text("raise RuntimeError('planted')")
    path = os.pathsep.join(filter(None, (str(files / "planted"), os.environ.get("PYTHONPATH"))))
    found = typed(files, "green.json", "reference.json", PYTHONPATH=path)

    assert found.returncode == 70
    assert "RuntimeError: planted" in found.stderr


def test_a_terminal_without_arrows_is_no_crash(files):
    found = typed(files, "red.json", "reference.json", PYTHONIOENCODING="cp1252")

    assert found.returncode == 1
    assert "deletion ?" in found.stdout


def test_the_command_starts_without_what_is_slow_to_import(files):
    code = """
import sys
from xai_bench import cli
sys.argv = "xai-bench check red.json reference.json --junit j.xml --markdown s.md --benchmark b".split()
try:
    cli.main()
except SystemExit:
    print(*{"torch", "matplotlib", "scipy.stats"} & set(sys.modules), file=sys.stderr)
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=files, capture_output=True, text=True, check=True)

    assert found.stderr.splitlines()[-1] == ""


# -- what is printed


def test_data_go_to_stdout_and_words_to_stderr(call, files):
    code, out, err = call("check", "red.json", "reference.json", "--junit", "out/j.xml")

    assert code == 1
    assert out.startswith("check of red.json against reference.json, model m, data photos: 2 regression\n")
    assert "written: out/j.xml" in err
    assert "accept it with `xai-bench reference update RUN REFERENCE`" in err


def test_a_pass_has_no_advice(call, files):
    code, out, err = call("check", "green.json", "reference.json")

    assert (code, err) == (0, "")
    assert "gradcam" not in out


def test_all_lists_the_passes_too(call, files):
    assert call("check", "green.json", "reference.json", "--all")[1].count("gradcam") == 2


def test_json_is_read_by_a_machine(call, files):
    code, out, _ = call("check", "undecided.json", "reference.json", "--json", "--allow-undecided")
    read = json.loads(out)

    assert code == read["exit_code"] == 0
    assert (read["verdict"], read["counts"]) == ("undecided", {"undecided": 2})


# -- options


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["red.json", "reference.json", "--fail-on", "*: drop > 0.2"], 0),
        (["red.json", "reference.json", "--fail-on", "deletion: drop > 0.2"], 1),
        (["red.json", "reference.json", "--fail-on", "deletion: drop > 0.2", "--fail-on", "insertion: drop > 0.2"], 0),
        (["red.json", "reference.json", "--ignore", "gradcam"], 0),
        (["red.json", "reference.json", "--ignore", "deletion"], 1),
        (["red.json", "reference.json", "--ignore", "deletion", "--ignore", "insertion"], 0),
        (["red.json", "reference.json", "--margins", "wide.toml"], 0),
        (["red.json", "reference.json", "--margins", "wide.toml", "--fail-on", "deletion: drop > 0.01"], 1),
        (["red.json", "reference.json", "--allow-undecided"], 1),
        (["undecided.json", "reference.json", "--allow-undecided"], 0),
        (["smaller.json", "reference.json"], 1),
        (["smaller.json", "reference.json", "--allow-undecided"], 1),
        (["smaller.json", "reference.json", "--match", "m=m"], 1),
    ],
)
def test_options_decide_what_is_red(call, files, words, code):
    (files / "wide.toml").write_text('[margins]\n"*" = 0.2\n')

    assert call("check", *words)[0] == code


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fail-on", "deltion: drop > 0.1"], "did you mean 'deletion'?"),
        (["--fail-on", "deletion > 0.1"], "--fail-on takes"),
        (["--ignore", "gradcma"], "did you mean 'gradcam'?"),
        (["--match", "m"], "--match takes OLD=NEW"),
        (["--match", "x=m"], "unknown model"),
        (["--margins", "nowhere.toml"], "nowhere.toml"),
        (["--junit", "."], "--junit '.' is a folder; name a file"),
        (["--junit", "reference.json"], "--junit would write over 'reference.json'; name another file"),
        (["--markdown", "red.json"], "--markdown would write over 'red.json'; name another file"),
        (["--junit", "a", "--markdown", "./a"], "--markdown would write over 'a', given for --junit too"),
        (["--junit", "red.json/a/b"], "'red.json/a' cannot be written"),
        (["--margins", "own.toml", "--junit", "own.toml"], "--junit would write over 'own.toml'; name another file"),
        (["--junit", "stored/run.json"], "--junit 'stored/run.json' lies in the run folder"),
        (["--benchmark", "stored/scores/x"], "lies in the run folder"),
        (["--margins", "deep.toml"], "margins 'deep.toml' has tables or lists in each other too deep to be read"),
        (["--margins", "."], "margins '.' is a folder; name a TOML file"),
        (["--margins", LONG], "cannot be used: File name too long"),
        (["--junit", LONG], "cannot be used: File name too long"),
        (["--margins", "nowhere.toml", "--junit", "new/j.xml"], "nowhere.toml"),
        (["--update", "--benchmark", "red.json/a"], "the folder of --benchmark 'red.json' cannot be written"),
        (["--junit", "/dev/full"], "--junit '/dev/full' cannot be written: No space left on device"),
        (["--unknown"], "No such option"),
    ],
)
def test_a_wrong_argument_is_told_in_one_sentence_and_nothing_is_written(call, files, words, said):
    (files / "own.toml").touch()
    (files / "deep.toml").write_text(f"a = {'[' * 100_000}")
    (files / "stored/scores").mkdir(parents=True)
    (files / "stored/run.json").touch()
    before = {path: path.is_file() and path.read_bytes() for path in files.rglob("*")}
    code, _, err = call("check", "red.json", "reference.json", *words)

    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert {path: path.is_file() and path.read_bytes() for path in files.rglob("*")} == before


@pytest.mark.parametrize(
    "words",
    [
        ["check", "LONG", "reference.json"],
        ["check", "red.json", "LONG"],
        ["reference", "update", "LONG", "new.json"],
        ["reference", "update", "red.json", "LONG"],
        ["reference", "history", "LONG"],
        ["reference", "history", "--git", "LONG/x"],
        ["reference", "init", "LONG.toml"],
    ],
    ids=" ".join,
)
def test_a_name_that_no_file_can_have_is_one_sentence(call, files, words):
    code, out, err = call(*(word.replace("LONG", LONG) for word in words))

    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize("end", ["2>/dev/full >/dev/null", "2>&1 >/dev/null | true"])
@pytest.mark.parametrize(("reference", "code"), [("nowhere.json", 2), ("reference.json", 70)])
def test_words_that_cannot_be_said_change_no_exit_code(files, end, reference, code):
    if code == 70:
        (files / "tabulate.py").write_text("raise RuntimeError('planted')")
    path = os.pathsep.join((str(files), os.environ.get("PYTHONPATH", "")))
    line = f"set -o pipefail; {sys.executable} -m xai_bench check red.json {reference} {end}"
    found = subprocess.run(["bash", "-c", line], cwd=files, env=os.environ | {"PYTHONPATH": path}, check=False)

    assert found.returncode == code


@pytest.mark.parametrize("start", ["-m xai_bench", "-m xai_bench.cli", "-c 'from xai_bench.entry import main; main()'"])
def test_a_package_that_cannot_be_imported_is_no_regression(files, start):
    (files / "click.py").write_text("raise ImportError('planted')")
    path = os.pathsep.join((str(files), os.environ.get("PYTHONPATH", "")))
    line = f"{sys.executable} {start} check red.json reference.json"
    environment = os.environ | {"PYTHONPATH": path}
    found = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)

    assert found.returncode == 70
    assert "ImportError: planted" in found.stderr


@pytest.mark.parametrize("option", ["--junit", "--markdown", "--benchmark"])
def test_a_disk_that_fills_leaves_no_half_of_a_file(call, files, monkeypatch, option):
    def full(self, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        code, out, err = call("check", "red.json", "reference.json", "--update", option, "made/file")

    assert code == 2
    assert "got worse" in out
    assert "No space left on device" in err
    assert list((files / "made").iterdir()) == []


def test_the_reference_is_not_renewed_where_a_file_cannot_be_written(call, files):
    before = (files / "reference.json").read_bytes()

    assert call("check", "red.json", "reference.json", "--update", "--junit", "/dev/full")[0] == 2
    assert (files / "reference.json").read_bytes() == before


# -- files


def test_every_file_is_whole_and_of_its_kind(call, files):
    words = ["--junit", "out/junit.xml", "--markdown", "out/summary.md", "--benchmark", "out/bench"]
    call("check", "red.json", "reference.json", *words)
    bigger, smaller = (json.loads((files / f"out/bench-{end}.json").read_text()) for end in ("bigger", "smaller"))

    assert junitparser.JUnitXml.fromfile(files / "out/junit.xml").failures == 2
    assert (files / "out/summary.md").read_text().startswith("## ❌ Explanations got worse\n")
    assert [entry["name"] for entry in bigger] == ["insertion of gradcam on m (photos)"]
    assert [entry["name"] for entry in smaller] == ["deletion of gradcam on m (photos)"]
    assert len(list((files / "out").iterdir())) == 4


def test_a_file_is_written_anew_but_a_job_summary_is_continued(call, files, monkeypatch):
    summary, other = files / "summary.md", files / "other.md"
    for path in (summary, other):
        path.write_text("# From another step\n\n")
    with monkeypatch.context() as patch:
        patch.setenv("GITHUB_STEP_SUMMARY", str(summary))
        for path in (summary, other):
            call("check", "red.json", "reference.json", "--markdown", path)

    assert summary.read_text() == "# From another step\n\n" + other.read_text()
    assert other.read_text().startswith("## ❌")


def test_a_job_summary_stays_below_what_github_takes(call, files, monkeypatch):
    summary = files / "summary.md"
    summary.write_text("x" * 999_500)
    with monkeypatch.context() as patch:
        patch.setenv("GITHUB_STEP_SUMMARY", str(summary))
        call("check", "red.json", "reference.json", "--markdown", summary)

    assert summary.read_text()[999_500:].startswith("## ❌")
    assert "2 more rows left out" in summary.read_text()
    assert summary.stat().st_size <= 2**20


def test_a_device_is_written_to_and_not_replaced(call, files):
    assert call("check", "red.json", "reference.json", "--junit", os.devnull)[0] == 1
    assert not Path(os.devnull).is_file()


def test_a_link_stays_a_link(call, files):
    (files / "kept").mkdir()
    (files / "junit.xml").symlink_to(files / "kept/junit.xml")
    call("check", "red.json", "reference.json", "--junit", "junit.xml")

    assert (files / "junit.xml").is_symlink()
    assert junitparser.JUnitXml.fromfile(files / "kept/junit.xml").failures == 2


@pytest.mark.parametrize(("words", "failures"), [([], 2), (["--allow-undecided"], 0)])
def test_junit_is_red_where_the_command_is(call, files, words, failures):
    call("check", "undecided.json", "reference.json", "--junit", "j.xml", *words)

    assert junitparser.JUnitXml.fromfile(files / "j.xml").failures == failures


# -- updating


@pytest.mark.parametrize(("name", "code"), [("red", 1), ("undecided", 3), ("green", 0), ("smaller", 1)])
def test_an_update_renews_the_reference_and_keeps_the_verdict(call, files, name, code):
    first, _, err = call("check", f"{name}.json", "reference.json", "--update")
    second, *_ = call("check", f"{name}.json", "reference.json")

    assert (first, second) == (code, 0)
    assert ("nothing changed" if name == "green" else "written: reference.json") in err
    assert "accept it with" not in err


def test_an_update_says_what_changed_and_leaves_what_did_not_to_the_byte(call, files):
    _, _, first = call("check", "red.json", "reference.json", "--update")
    kept = (files / "reference.json").read_bytes()
    _, _, second = call("check", "red.json", "reference.json", "--update")

    assert first == "reference.json, 2 cells: 2 changed (2 worse).\nwritten: reference.json\n"
    assert second == "reference.json, 2 cells: 2 the same.\nnothing changed: reference.json stays as it is\n"
    assert (files / "reference.json").read_bytes() == kept


@pytest.mark.parametrize("place", ["folder", "memory://somewhere/run"])
def test_a_run_is_no_reference_that_can_be_renewed(call, files, place):
    (files / "folder").mkdir()
    code, out, err = call("check", "red.json", place, "--update")

    assert (code, out) == (2, "")
    assert f"--update renews a reference file, but {place!r} is a run" in err


def test_what_cannot_be_compared_is_not_renewed(call, files):
    strange = run_of(cell(OLD, spec="steps=56"))
    references.write(strange, files / "strange.json", "abc")
    before = (files / "reference.json").read_bytes()
    code, out, err = call("check", "strange.json", "reference.json", "--update", "--junit", "j.xml")

    assert (code, out) == (2, "")
    assert "steps=56" in err
    assert (files / "reference.json").read_bytes() == before
    assert not (files / "j.xml").exists()
    with pytest.raises(RunError):
        references.read(files / "j.xml")


def test_the_help_says_every_exit_code(call):
    _, out, _ = call("check", "--help")

    assert [code for code in ("0", "1", "2", "3", "70") if f" {code} where" not in " ".join(out.split())] == []
