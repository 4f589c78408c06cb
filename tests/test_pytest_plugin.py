"""The pytest plugin as a project sees it: every outcome of a check, of a suite's tests and of the fixture."""

import os
import re
import shlex
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import page_code
import pandas as pd
import pytest

from xai_bench import api, gate, references
from xai_bench.pytest_plugin import settings
from xai_bench.pytest_plugin.faithfulness import file_name
from xai_bench.pytest_plugin.gate import Cell
from xai_bench.pytest_plugin.items import names
from xai_bench.results import Results, load_run
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run

pytest_plugins = ["pytester"]
# pytester takes modules that were first imported inside away again, and numpy does not bear being imported twice
ALREADY_IMPORTED = (api, gate, references)

N = 30
CARD = {"name": "deletion", "better": "lower", "low": 0.0, "high": 1.0, "scope": "image", "reduction": "mean"}
RNG = np.random.default_rng(0)
SCORES = RNG.uniform(0.3, 0.6, N)
WORSE = SCORES + 0.1 + RNG.normal(0, 0.01, N)
UNSURE = SCORES + np.resize([0.15, -0.15], N) + RNG.normal(0, 0.01, N)
LOST = np.where(np.arange(N) < 3, np.nan, SCORES)
NEVER = np.full(N, np.nan)
PLUGIN = ("-p", "xai_bench.pytest_plugin", "-p", "no:unraisableexception")  # the latter: its search for garbage is slow
CHECK = ("--xai-bench-run=now.json", "--xai-bench-reference=old.json")
PASSED, FAILED, CRASHED, USAGE, NOTHING = 0, 1, 3, 4, 5


def results(cells, model="net", spec="x=1"):
    """Without a model: explainer -> scores of deletion."""
    parts = [
        pd.DataFrame({"sample": [f"s{image}" for image in range(N)], "score": scores}).assign(
            explainer=explainer, reason=np.where(np.isnan(scores), "constant map", "")
        )
        for explainer, scores in cells.items()
    ]
    same = {"data": "d", "model": model, "metric": "deletion", "version": 1, "spec": spec, "target": 0, "error": np.nan}
    same |= {"clean": np.nan, "seed": 0, "precision": "fp32", "device": "cpu", "fingerprints": "model=aa;data=bb"}
    scores = pd.concat(parts, ignore_index=True).assign(**same, explainer_spec="e()")[list(SCORE_COLUMNS)]
    cards = {"deletion": {**CARD, "version": 1, "spec": spec}}
    info = {"created": "2026-01-01T00:00:00+00:00", "seed": 0, "precision": "fp32"}
    return Results(Run(scores, pd.DataFrame(columns=list(CURVE_COLUMNS)), cards, {}, info))


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Of the plugins that are installed, inner sessions load none: half their time, and ours under another name."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def start(pytester):
    """Starts pytest in a folder with `old.json`, a reference, and `now.json`, the scores of now."""

    def start(*words, old=None, now=None, **changed):
        if old is not None:
            results(old).save_reference(pytester.path / "old.json")
        if now is not None:
            results(now, **changed).save_reference(pytester.path / "now.json")
        return pytester.runpytest_inprocess(*PLUGIN, *words)

    return start


def said(done):
    return done.stdout.str() + done.stderr.str()


def test_a_cell_that_did_not_get_worse_passes(start):
    done = start(*CHECK, "-v", old={"cam": SCORES, "ig": SCORES}, now={"cam": SCORES, "ig": SCORES - 0.1})

    assert done.ret == PASSED
    done.stdout.fnmatch_lines(
        ["old.json::deletion-cam-net PASSED*", "old.json::deletion-ig-net PASSED*", "old.json::new-cells PASSED*"]
    )
    done.stdout.fnmatch_lines(["Nothing got worse: 2 of 2 cells pass."])


FAILURES = [
    (WORSE, "worse by +0.1* [[]+0.*, +0.1*[]], margin 0.02", "*from 0.46* to 0.56* (lower is better), 30 images, p*"),
    (LOST, "3 of 30 images lost their score*", "*from 0.46* to 0.46* (lower is better), 27 images"),
    (None, "vanished: the reference has it and the run has not", "*--xai-bench-update makes the run the reference"),
    (UNSURE, "cannot tell: *about 6?0 images would decide", "*score more images, or let it pass with*"),
]


@pytest.mark.parametrize(("now", "first", "more"), FAILURES, ids=["worse", "lost", "vanished", "undecided"])
def test_a_cell_that_fails_says_why_in_a_few_lines(start, now, first, more):
    cells = {"cam": SCORES} if now is None else {"cam": SCORES, "ig": now}
    done = start(*CHECK, old={"cam": SCORES, "ig": SCORES}, now=cells)

    assert done.ret == FAILED
    done.assert_outcomes(passed=2, failed=1)
    done.stdout.fnmatch_lines(["*old.json: deletion-ig-net*", first, "*deletion of ig on net (d)*", more])
    done.stdout.fnmatch_lines(["FAILED old.json::deletion-ig-net - Failed: *"])
    assert "Traceback" not in said(done)
    assert "pytest_plugin/" not in said(done)


def test_what_cannot_be_told_is_skipped_where_that_is_allowed(start):
    cells = {"old": {"ig": SCORES}, "now": {"ig": UNSURE}}
    typed = start(*CHECK, "--xai-bench-allow-undecided", "-rs", **cells)
    written = start(*CHECK, "-o", "xai_bench_allow_undecided=true")

    assert (typed.ret, written.ret) == (PASSED, PASSED)
    typed.assert_outcomes(passed=1, skipped=1)
    typed.stdout.fnmatch_lines(["SKIPPED [[]1] old.json:1: cannot tell: *about 6?0 images would decide"])


def test_what_decides_nothing_is_skipped_and_says_so(start, pytester):
    pytester.path.joinpath("margins.toml").write_text('ignore = ["cam"]\n')
    old, now = {"ig": SCORES, "cam": SCORES, "off": NEVER}, {"ig": SCORES, "cam": WORSE, "off": NEVER, "rise": SCORES}
    done = start(*CHECK, "--xai-bench-margins=margins.toml", "-rs", old=old, now=now)

    assert done.ret == PASSED
    done.assert_outcomes(passed=1, skipped=3)
    done.stdout.fnmatch_lines_random(
        [
            "SKIPPED * ignored: deletion of cam on net (d)",
            "SKIPPED * unscored: deletion of off on net (d): no image has a score in both",
            "SKIPPED * not in the reference, so not checked: deletion of rise on net (d)*",
        ]
    )


def test_margins_come_from_a_file_and_expressions_win(start, pytester):
    pytester.path.joinpath("margins.toml").write_text("margins = { deletion = 0.2 }\n")
    words = (*CHECK, "--xai-bench-margins=margins.toml")
    wide = start(*words, old={"ig": SCORES}, now={"ig": WORSE})
    narrow = start(*words, "--xai-bench-fail-on=deletion: drop > 0.05")
    written = start(*words, "-o", "xai_bench_fail_on=deletion: drop > 0.05")

    assert (wide.ret, narrow.ret, written.ret) == (PASSED, FAILED, FAILED)


def test_the_report_for_machines_holds_the_numbers(start, pytester):
    start(*CHECK, "--junitxml=out.xml", old={"cam": SCORES, "ig": SCORES}, now={"cam": SCORES, "ig": WORSE})
    cases = {case.get("name"): case for case in ET.parse(pytester.path / "out.xml").iter("testcase")}
    facts = {one.get("name"): one.get("value") for one in cases["deletion-ig-net"].iter("property")}

    assert list(cases) == ["deletion-cam-net", "deletion-ig-net", "new-cells"]
    assert cases["deletion-ig-net"].find("failure").get("message").startswith("Failed: worse by +0.1")
    assert (facts["verdict"], facts["margin"], facts["n"]) == ("regression", "0.02", "30")
    assert float(facts["worse"]) == pytest.approx((WORSE - SCORES).mean(), rel=1e-5)


def test_cells_are_chosen_as_tests_are(start, pytester):
    pytester.makepyfile(test_own="def test_own(): pass")
    cam, ig, new = "old.json::deletion-cam-net", "old.json::deletion-ig-net", "old.json::new-cells"
    done = start(*CHECK, old={"cam": SCORES, "ig": SCORES}, now={"cam": SCORES, "ig": WORSE})

    done.assert_outcomes(passed=3, failed=1)
    start(*CHECK, "--lf").assert_outcomes(failed=1)
    start(*CHECK, "-x", "-m", "xai_bench", "--strict-markers").assert_outcomes(passed=1, failed=1, deselected=1)
    assert collected(start, "-k", "cam") == [cam]
    assert collected(start, "-m", "not xai_bench") == ["test_own.py::test_own"]
    assert collected(start, "old.json") == collected(start, "old.json", ".", "-m", "xai_bench") == [cam, ig, new]
    assert collected(start, ig) == [*collected(start, "test_own.py", "-k", "ig")] == [ig]


def collected(start, *words, check=CHECK):
    done = start(*check, "--collect-only", "-q", *words)
    return [line for line in done.outlines if "::" in line]


def test_only_those_who_ask_for_a_suite_wait_for_it(start, pytester):
    """A suite of the configuration file is not run where other tests are named."""
    pytester.makeini("[pytest]\nxai_bench_run = now.json\nxai_bench_reference = old.json\n")
    pytester.makepyfile(test_own="def test_own(): pass")
    pytester.mkdir("inner")
    own, cell = "test_own.py::test_own", ["old.json::deletion-ig-net", "old.json::new-cells"]
    done = start("test_own.py", old={"ig": SCORES}, now={"ig": WORSE})

    done.assert_outcomes(passed=1)
    assert "xai_bench:" not in said(done)
    assert sorted(collected(start, check=())) == sorted(collected(start, ".", check=())) == [*cell, own]
    assert collected(start, "old.json", check=()) == cell
    assert collected(start, "inner", check=()) == []


def test_a_project_without_a_suite_pays_for_nothing(pytester):
    pytester.makepyfile(
        """
        import sys

        def test_own():
            assert not {"torch", "pandas", "pyarrow", "matplotlib", "scipy"} & set(sys.modules)
        """
    )
    assert pytester.runpytest_subprocess(*PLUGIN).ret == PASSED


BAD = [
    (["--xai-bench-run=now.json"], "--xai-bench-run needs --xai-bench-reference, a reference file or run folder"),
    (["--xai-bench-run=now.json", "--xai-bench-reference=od.json"], "there is no reference * start pytest once with"),
    (["--xai-bench-run=nwo", "--xai-bench-reference=old.json"], "nwo' is not a run folder"),
    ([*CHECK, "--xai-bench-margins=gone.toml"], "unknown margins file 'gone.toml'"),
    ([*CHECK, "--xai-bench-margins=bad.toml"], "margin of 'deletion' must be a finite number from 0"),
    ([*CHECK, "--xai-bench-fail-on=deltion: drop > 0.1"], "unknown metric of margins 'deltion'; did you mean 'del"),
    ([*CHECK, "--xai-bench-fail-on=often"], "--fail-on takes 'METRIC: drop > NUMBER'"),
    (["--xai-bench-run=now.json", "--xai-bench-reference=cut.json"], "cut.json' is cut off or damaged"),
    (["--xai-bench-run=now.json", "--xai-bench-reference=own.json"], "own.json' is no reference file of xai_bench"),
    (["--xai-bench=gone.toml", "--xai-bench-reference=old.json"], "unknown suite file 'gone.toml'"),
    (["--xai-bench=bad.toml", "--xai-bench-reference=old.json"], "unknown key of a suite 'margins'"),
    (["--xai-bench=" + "a" * 300], "--xai-bench 'a*...a*' cannot be used: File name too long"),
    (
        [*CHECK, "--xai-bench-reference=" + "a" * 300],
        "--xai-bench-reference 'a*...a*' cannot be used: File name too long",
    ),
    ([*CHECK, "--xai-bench-margins=" + "a" * 300], "--xai-bench-margins 'a*...a*' cannot be used: File name too long"),
    ([*CHECK, "--xai-bench-run=" + "a" * 300], "--xai-bench-run 'a*...a*' cannot be used: File name too long"),
    ([*CHECK, "--xai-bench-out=" + "a" * 300], "--xai-bench-out 'a*...a*' cannot be used: File name too long"),
    ([*CHECK, "--xai-bench-fail-on=" + "a" * 300], "--fail-on takes 'METRIC: drop > NUMBER'"),
    (
        ["--xai-bench=" + "a" * 250 + ".toml"],
        "--xai-bench-reference '/*a.reference.json' cannot be used: File name too",
    ),
    (
        [*CHECK, "--xai-bench-out=~no-such-user/x"],
        "--xai-bench-out '~no-such-user/x' cannot be used: Could not determine home",
    ),
    (["--xai-bench-run=other.json", "--xai-bench-reference=old.json"], "metric 'deletion' measures something else"),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("words", "sentence"), BAD, ids=[f"{number}-{sentence[:24]}" for number, (_, sentence) in enumerate(BAD)]
)
def test_bad_input_is_a_usage_error_in_one_sentence(start, pytester, words, sentence):
    results({"ig": SCORES}, spec="x=2").save_reference(pytester.path / "other.json")
    results({"ig": SCORES}).save_reference(pytester.path / "cut.json")
    whole = pytester.path.joinpath("cut.json").read_text()
    pytester.path.joinpath("cut.json").write_text(whole[: len(whole) // 2])
    pytester.path.joinpath("own.json").write_text("{}")
    pytester.path.joinpath("bad.toml").write_text("margins = { deletion = -1 }\n")
    done = start(*words, old={"ig": SCORES}, now={"ig": SCORES})

    assert done.ret == USAGE
    done.stderr.fnmatch_lines([f"ERROR: *{sentence}*"])
    assert "Traceback" not in said(done)


def test_a_session_without_the_temporary_folders_of_pytest_makes_its_own(start, pytester, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(pytester.mkdir("temporary")))
    done = start(*CHECK, "-p", "no:tmpdir", old={"ig": SCORES}, now={"ig": SCORES})

    assert done.ret == PASSED
    assert len(list(pytester.path.joinpath("temporary").glob("xai_bench-*"))) == 1


def test_names_are_readable_and_each_is_one():
    cells = [
        Cell("d", "net", "cam", "deletion"),
        Cell("d", "net", "none", "top1"),
        Cell("d", "a/b::c", "ig(steps=16)", "two words\n"),
        Cell("d", "a_b_c", "ig(steps=16)", "two words "),
        Cell("d", "cells", "none", "new"),
    ]

    assert list(names(cells)) == [
        "deletion-cam-net",
        "top1-net",
        "two_words_-ig(steps=16)-a_b_c",
        "two_words_-ig(steps=16)-a_b_c-2",
        "new-cells-2",
    ]
    assert list(names([Cell("a", "m", "e", "k"), Cell("b", "m", "e", "k")])) == ["k-e-m-a", "k-e-m-b"]


def test_an_update_renews_the_reference_and_what_failed_still_fails(start, pytester):
    done = start(*CHECK, "--xai-bench-update", old={"ig": SCORES}, now={"ig": WORSE})

    assert done.ret == FAILED
    done.stdout.fnmatch_lines(["reference renewed; look at what changed, and commit it: *old.json"])
    assert load_run(pytester.path / "old.json").scores["score"].mean() == pytest.approx(WORSE.mean())
    assert start(*CHECK).ret == PASSED


def test_an_update_takes_what_cannot_be_compared(start, pytester):
    """Another spec of a metric: still bad input, but the way out of it."""
    done = start(*CHECK, "--xai-bench-update", old={"ig": SCORES}, now={"ig": SCORES}, spec="x=2")

    assert done.ret == USAGE
    done.assert_outcomes(errors=1, skipped=1)
    done.stdout.fnmatch_lines(["bad input: metric 'deletion' measures something else*"])
    assert start(*CHECK).ret == PASSED


def test_an_update_writes_a_first_reference(start, pytester):
    done = start(*CHECK, "--xai-bench-update", now={"ig": SCORES})

    assert done.ret == FAILED
    done.stdout.fnmatch_lines(
        ["there was no reference, now there is one; look at it, commit it and run again: *old.json"]
    )
    assert start(*CHECK).ret == PASSED


SUITE = """
seed = 0
models = [{ name = "timm:test_resnet", label = "net", pretrained = false, num_classes = 4, input_size = 32 }]
explainers = ["random", "python:project:explain"]
metrics = [{ name = "deletion", steps = 2 }, "top1"]
data = [{ name = "planted", split = "test", n = 6, size = 32, seed = 0 }]
gallery = 0
"""
DELETION, RANDOM, NEW = "deletion(steps=2)-explain-net", "deletion(steps=2)-random-net", "new-cells"
PROJECT = """
import os, pathlib

def explain(model, images, targets):
    with pathlib.Path("ran").open("a") as file:
        print(os.getpid(), file=file)
    if pathlib.Path("broken").exists():
        raise RuntimeError("no map today")
    return images.mean(dim=1)
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    """A project with a suite of a tiny model; its explainer notes every process that ran it."""
    pytester.path.joinpath("gate.toml").write_text(SUITE)
    pytester.path.joinpath("project.py").write_text(PROJECT)
    pytester.syspathinsert()
    monkeypatch.setenv("PYTHONPATH", str(pytester.path), prepend=os.pathsep)

    def ran():
        notes = pytester.path / "ran"
        return notes.read_text().split() if notes.exists() else []

    return ran


def test_a_suite_is_run_once_and_only_where_a_cell_is_wanted(start, suite, pytester):
    first = start("--xai-bench=gate.toml", "--xai-bench-update", "--xai-bench-out=kept")
    first.assert_outcomes(failed=1)
    assert pytester.path.joinpath("gate.reference.json").exists()
    assert "Nothing got worse" not in said(first)
    assert len(load_run(pytester.path / "kept").scores) == 18
    ran = len(suite())

    seen = collected(start, check=("--xai-bench=gate.toml",))
    assert seen == [f"gate.toml::{name}" for name in ("top1-net", RANDOM, DELETION, NEW)]
    start("--xai-bench=gate.toml", "-k", "nothing").assert_outcomes(deselected=len(seen))
    assert len(suite()) == ran

    done = start("--xai-bench=gate.toml")
    assert done.ret == PASSED, said(done)
    done.assert_outcomes(passed=len(seen))
    assert len(suite()) == 2 * ran


def test_bad_input_that_only_the_run_can_know_is_told_once(start, suite, pytester):
    results({"ig": SCORES}).save_reference(pytester.path / "gate.reference.json")
    done = start("--xai-bench=gate.toml")

    assert done.ret == USAGE
    done.assert_outcomes(errors=1, skipped=1)
    done.stdout.fnmatch_lines(["bad input: *share no data*", "ERROR gate.toml::deletion-ig-net - *"])
    assert "During handling" not in said(done)


def test_a_crash_is_no_regression(start, monkeypatch):
    """It is pytest's internal error, with the traceback that we need, once."""
    monkeypatch.setattr("xai_bench.results.load_run", lambda place: 1 / 0 if "now" in str(place) else load_run(place))
    done = start(*CHECK, "--xai-bench-update", old={"cam": SCORES, "ig": SCORES}, now={"cam": SCORES, "ig": SCORES})

    assert done.ret == CRASHED
    done.assert_outcomes(errors=1, skipped=2)
    done.stdout.fnmatch_lines(["E * ZeroDivisionError: division by zero"])


def test_what_leaves_python_is_not_tried_again(start, monkeypatch, pytester):
    tried = []

    def end(place):
        if "now" in str(place):
            tried.append(place)
            sys.exit(1)
        return load_run(place)

    monkeypatch.setattr("xai_bench.results.load_run", end)
    pytester.path.joinpath("now.json").mkdir()
    done = start(*CHECK, "--xai-bench-update", old={"cam": SCORES, "ig": SCORES})

    assert (done.ret, len(tried)) == (CRASHED, 1)
    done.assert_outcomes(errors=1, skipped=2)


def test_units_that_failed_are_why_a_cell_vanished(start, suite, pytester):
    start("--xai-bench=gate.toml", "--xai-bench-update")
    pytester.path.joinpath("broken").touch()
    done = start("--xai-bench=gate.toml")

    assert done.ret == FAILED
    done.stdout.fnmatch_lines(["vanished: the reference has it and the run has not", "*no map today*"])


STAND_IN = """
import os, pathlib, shutil, sys, types

def run_suite(suite, out, means):
    with pathlib.Path("ran").open("a") as file:
        print(os.getpid(), file=file)
    shutil.copytree("kept", out)

sys.modules["xai_bench.api"] = types.SimpleNamespace(run_suite=run_suite)
"""


def test_the_workers_of_xdist_share_one_run(start, suite, pytester):
    """Three processes, none of which need torch: a copy stands in for the run of the suite."""
    start("--xai-bench=gate.toml", "--xai-bench-update", "--xai-bench-out=kept")
    here, before = len(suite()), pytester.path.joinpath("gate.reference.json").stat().st_ino
    pytester.makeconftest(STAND_IN)
    words = ("-p", "xdist", "-n", "2", "-v", "--xai-bench=gate.toml", "--xai-bench-update")
    done = pytester.runpytest_subprocess(*PLUGIN, *words)

    done.assert_outcomes(passed=4)
    done.stdout.fnmatch_lines_random(["[[]gw0[]] * PASSED gate.toml*", "[[]gw1[]] * PASSED gate.toml*"])
    done.stdout.fnmatch_lines(["Nothing got worse: 3 of 3 cells pass.", "reference renewed; *gate.reference.json"])
    assert len(suite()) == here + 1
    assert pytester.path.joinpath("gate.reference.json").stat().st_ino != before


DIES = """
import os, pathlib, sys, types

def run_suite(suite, out, means):
    with pathlib.Path("ran").open("a") as file:
        print(os.getpid(), file=file)
    os._exit(1)

sys.modules["xai_bench.api"] = types.SimpleNamespace(run_suite=run_suite)
"""


def test_a_worker_that_dies_is_told_once_and_the_suite_is_not_run_again(start, suite, pytester):
    """As where the system ends a process for want of memory: no Python of ours has the last word."""
    results({"cam": SCORES, "ig": SCORES, "lime": SCORES}).save_reference(pytester.path / "gate.reference.json")
    pytester.makeconftest(DIES)
    words = ("-p", "xdist", "-n", "2", "--xai-bench=gate.toml", "--xai-bench-update", "-rs", "--junitxml=out.xml")
    done = pytester.runpytest_subprocess(*PLUGIN, *words)

    assert (done.ret, len(suite())) == (CRASHED, 1)
    done.assert_outcomes(errors=1, skipped=3)
    done.stdout.fnmatch_lines(
        [
            "*ERROR at setup of gate.toml: *",
            "crash: worker gw? died while it ran the suite",
            "*died, told by the first*",
        ]
    )
    cases = {
        case.get("name"): [part.tag for part in case] for case in ET.parse(pytester.path / "out.xml").iter("testcase")
    }
    assert sorted(map(tuple, cases.values())) == [("error",), ("skipped",), ("skipped",), ("skipped",)]


FIXTURE = """
import pytest
from xai_bench.results import load_run

{decorator}
def test_maps(faithfulness{names}):
    found = faithfulness.check(load_run("now.json"){more})
    assert found.verdict == "{verdict}"
"""


@pytest.fixture
def check_maps(start, pytester):
    """Starts a project of one test with the fixture; `now` are the scores of now."""

    def run(*words, now, more="", verdict="pass", decorator="", names="", **changed):
        code = FIXTURE.format(more=more, verdict=verdict, decorator=decorator, names=names)
        pytester.makepyfile(test_photos=code)
        return start(*words, now={"ig": now}, **changed)

    return run


def test_a_missing_reference_is_written_and_fails_once(check_maps, pytester):
    first, second = check_maps(now=SCORES), check_maps(now=SCORES)

    first.assert_outcomes(failed=1)
    first.stdout.fnmatch_lines(["E *: there was no reference, now there is one; *: *test_photos/test_maps.json"])
    second.assert_outcomes(passed=1)
    written = load_run(pytester.path / "test_photos" / "test_maps.json")
    assert written.scores["score"].mean() == pytest.approx(SCORES.mean())


def test_the_fixture_fails_at_the_line_of_the_test(check_maps):
    check_maps(now=SCORES)
    done = check_maps(now=WORSE)

    assert done.ret == FAILED
    done.stdout.fnmatch_lines(
        [
            '>   *found = faithfulness.check(load_run("now.json"))',
            "E   *1 of 1 cells got worse: deletion of ig on net by 0.1 (margin 0.02).",
            "E   *worse by +0.1*, margin 0.02",
            "test_photos.py:6: Failed",
        ]
    )
    assert "pytest_plugin/" not in said(done)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ("", FAILED),
        (", margins={'deletion': 0.2}", PASSED),
        (", margins='wide.toml'", PASSED),
        (", margins={'deletion': 0.02}", FAILED),
    ],
    ids=["default", "wide", "file", "narrow"],
)
def test_the_fixture_takes_margins(check_maps, pytester, more, code):
    pytester.path.joinpath("wide.toml").write_text("margins = { deletion = 0.2 }\n")
    check_maps(now=SCORES)

    assert check_maps(now=WORSE, more=more).ret == code


def test_a_test_without_margins_has_those_of_the_session(check_maps):
    check_maps(now=SCORES)

    assert check_maps("--xai-bench-fail-on=*: drop > 0.2", now=WORSE).ret == PASSED


def test_the_fixture_fails_where_the_data_cannot_tell(check_maps):
    check_maps(now=SCORES)
    allowed = check_maps(now=UNSURE, more=", allow_undecided=True", verdict="undecided")
    by_session = check_maps("--xai-bench-allow-undecided", now=UNSURE, verdict="undecided")
    strict = check_maps("--xai-bench-allow-undecided", now=UNSURE, more=", allow_undecided=False")
    done = check_maps(now=UNSURE)

    assert (allowed.ret, by_session.ret, strict.ret, done.ret) == (PASSED, PASSED, FAILED, FAILED)
    done.stdout.fnmatch_lines(["E * 1 of 1 cells cannot be told: *", "E * cannot tell: *about 6?0 images would decide"])


def test_an_update_renews_the_reference_of_a_test_and_fails_it(check_maps):
    check_maps(now=SCORES)
    done = check_maps("--xai-bench-update", now=WORSE)

    assert done.ret == FAILED
    done.stdout.fnmatch_lines(["E * reference renewed; look at it, commit it and run again: *test_maps.json"])
    assert check_maps(now=WORSE).ret == PASSED


def test_a_reference_may_be_named(check_maps, pytester):
    pytester.mkdir("kept")
    check_maps(now=SCORES, more=", reference='kept/photos.json'").assert_outcomes(failed=1)

    assert pytester.path.joinpath("kept", "photos.json").exists()
    check_maps(now=SCORES, more=", reference='kept/photos.json'").assert_outcomes(passed=1)


def test_every_parameter_has_its_reference(check_maps, pytester):
    given = {"decorator": "@pytest.mark.parametrize('which', ['resnet-0.5', 'a/b', 'a_b'])", "names": ", which"}
    check_maps(now=SCORES, **given).assert_outcomes(failed=3)

    check_maps(now=SCORES, **given).assert_outcomes(passed=3)
    assert [path.name.split("-")[:2] for path in sorted(pytester.path.joinpath("test_photos").iterdir())] == [
        ["test_maps", "a_b"],
        ["test_maps", "a_b.json"],
        ["test_maps", "resnet"],
    ]


def test_no_two_tests_have_one_file():
    plain = ["test_x", "test_x[a]", "test_x[resnet-0.5]", "TestIt.test_x"]

    assert [file_name(name) for name in plain] == ["test_x", "test_x-a", "test_x-resnet-0.5", "TestIt.test_x"]
    odd = ["a/b", "a b", "a\\b", "a_b]", "\udc80", "a" * 300, "a" * 301, "\u9577" * 99]
    files = [file_name(f"test_x[{name}]") for name in odd]
    assert len(set(files)) == len(odd)
    assert all(len(name.encode()) < 120 and name.isprintable() and "/" not in name for name in files)


BAD_CHECKS = [
    ({"more": ", margins={'deltion': 0.1}"}, "unknown metric of margins 'deltion'; did you mean 'deletion'?"),
    ({"more": ", margins={'deletion': -1}"}, "margin of 'deletion' must be a finite number from 0"),
    ({"spec": "x=2"}, "metric 'deletion' measures something else"),
    ({"more": "); faithfulness.check('now.json'"}, "reference 'test_maps.json' is checked twice in one test"),
    ({"more": ", reference='test_photos.py'"}, "is no reference file"),
    ({"more": ", reference='a' * 300"}, "reference 'a*...a*' cannot be used: File name too long"),
    ({"more": ", reference=5"}, "reference must be a path, got 5"),
    ({"more": ", margins=5"}, "margins must be a mapping {*}, a TOML file or Margins, got 5"),
    ({"more": ", margins='a' * 300"}, "margins 'a*...a*' cannot be used: File name too long"),
    ({"more": ", match='old'"}, "match must be a mapping *, got 'old'"),
    ({"more": "); faithfulness.check(None"}, "results must be Results, a run folder or a URL, got None"),
    ({"more": "); faithfulness.check('a' * 300"}, "results 'a*...a*' cannot be used: File name too long"),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("changed", "sentence"), BAD_CHECKS, ids=[sentence[:24] for _, sentence in BAD_CHECKS])
def test_the_fixture_says_what_is_bad_about_its_input(check_maps, changed, sentence):
    check_maps(now=SCORES)
    done = check_maps(now=SCORES, **changed)

    assert done.ret == USAGE
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(
        ["*ERROR at call of test_maps*", f"E * bad input: *{sentence}*", "ERROR test_photos.py::*"]
    )
    assert "pytest_plugin/" not in said(done)


def test_bad_input_that_a_test_expects_is_no_error(check_maps, pytester):
    check_maps(now=SCORES)
    expected = """
        import pytest
        from xai_bench.results import load_run

        def test_maps(faithfulness):
            with pytest.raises(pytest.fail.Exception, match="finite number"):
                faithfulness.check(load_run("now.json"), margins={"deletion": -1.0})
            assert not %s
    """
    for value, code in ((0, PASSED), (1, FAILED)):
        pytester.makepyfile(test_photos=expected % value)
        assert pytester.runpytest_inprocess(*PLUGIN).ret == code


def test_a_crash_in_the_fixture_is_an_error_with_its_traceback(check_maps, monkeypatch):
    check_maps(now=SCORES)
    monkeypatch.setattr("xai_bench.results.check", lambda *_, **__: 1 / 0)
    done = check_maps(now=SCORES)

    assert done.ret == CRASHED
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["E * ZeroDivisionError: division by zero"])


PAGE = (Path(__file__).parent.parent / "docs" / "pytest.md").read_text(encoding="utf-8")


def test_the_page_can_be_followed(pytester):
    """Its files, and its commands in their order with the exit codes it tells; a small model stands for its own."""
    page_code.furnish(pytester.path)
    for name, code in page_code.files(PAGE).items():
        pytester.path.joinpath(name).write_text(code.replace("n = 200", "n = 4"))
    (test,) = [page_code.smaller(code) for code in page_code.blocks(PAGE, "python") if code.startswith("# test_")]
    lines = [line for code in page_code.blocks(PAGE, "sh") for line in code.splitlines() if line.startswith("pytest ")]

    for line in lines:
        if "test_explanations.py" in line:  # the reader has not written it before
            pytester.path.joinpath("test_explanations.py").write_text(test.replace("n=200", "n=4"))
        told = re.search(r"exit code (\d)", line)
        done = pytester.runpytest_inprocess(*PLUGIN, *shlex.split(line, comments=True)[1:])
        assert done.ret == int(told[1] if told else PASSED), said(done)
    assert len(lines) >= 6


def test_the_page_names_every_option():
    keys = (settings.SUITE, settings.REFERENCE, settings.MARGINS, settings.RUN, settings.OUT, settings.FAIL_ON)

    for option in (*keys, settings.UNDECIDED):
        assert f"| `{option.flag}" in PAGE
        assert f"`{option.key}`" in PAGE
    assert settings.UPDATE in PAGE
