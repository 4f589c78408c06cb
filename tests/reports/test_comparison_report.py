"""Runs held against each other as text, files and one page."""

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from synthetic_run import HOSTILE, make_run

import xai_bench as xb
from xai_bench.comparison import compare
from xai_bench.errors import InvalidValueError, RunError
from xai_bench.reports import comparison as spoken
from xai_bench.results import Results


def later(run, shift=0.1):
    """The same run with every deletion lower, which is better."""
    changed = (run.scores["metric"] == "deletion") * (shift + 0.01 * (np.arange(len(run.scores)) % 5))
    scores = run.scores.assign(score=run.scores["score"] - changed)
    return type(run)(scores, run.curves, run.cards, run.explainers, run.info)


OLD = make_run(12, models=("plain",), datas=("planted/test",), panels=0)
PAIR = compare([("old", OLD), ("new", later(OLD))])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return spoken.write(PAIR, tmp_path_factory.mktemp("compared") / "out")


def test_the_lead_counts_what_came_of_it():
    # 3 explainers by 3 metrics, top1 and class_entropy of the model; deletion alone changed
    assert spoken.lead(PAIR) == "new against old, 11 comparisons: 3 better, 7 equal and 1 without a test."


def test_sentences_tell_changes_first():
    texts = spoken.sentences(PAIR)

    assert len(texts) == 11
    assert all("new beats old on deletion for" in text for text in texts[:3])
    assert not any("beats" in text for text in texts[3:])


def test_all_files_are_there_and_nothing_else(written):
    names = {path.relative_to(written.parent).as_posix() for path in written.parent.rglob("*") if path.is_file()}

    tables = {f"tables/differences.{form}" for form in ("csv", "md", "tex", "html")} | {"tables/comparisons.md"}
    figures = {f"figures/differences.{form}" for form in ("pdf", "svg", "png")}
    assert names == tables | figures | {"index.html", "comparison.md"}
    assert [path.name for path in written.parent.parent.iterdir()] == ["out"]


def test_the_table_holds_every_digit_and_the_verdict(written):
    table = pd.read_csv(written.parent / "tables/differences.csv")

    assert table["verdict"].value_counts().to_dict() == {"better": 3, "equal": 7, "untested": 1}
    np.testing.assert_allclose(table["difference"], PAIR.table["difference"].astype(float))


def test_the_page_says_it_all(written):
    page = written.read_text("utf-8")

    for part in (spoken.lead(PAIR), spoken.sentences(PAIR)[0], "data:image/svg+xml;base64", "deletion ↓"):
        assert part in page
    assert "http" not in re.sub(r"http://www.w3.org\S+|http-equiv", "", page)


def test_a_terminal_sees_table_notes_and_sentences():
    text = spoken.text(PAIR)

    assert spoken.sentences(PAIR)[0] in text
    assert "difference [95 %]" in text
    assert "nan" not in text


def test_machines_get_numbers_words_and_nulls():
    found = json.loads(json.dumps(spoken.records(PAIR), allow_nan=False))
    by_metric = {row["metric"]: row for row in found["differences"]}

    assert (found["reference"], found["runs"]) == ("old", ["new"])
    assert by_metric["deletion"]["verdict"] == "better"
    assert by_metric["class_entropy"]["p"] is None
    assert all(row["sentence"].endswith(".") for row in found["differences"])


def test_names_are_escaped_everywhere(tmp_path):
    run = make_run(4, models=(HOSTILE,), explainers=("ig", "random"), datas=("<b>&_%$",), panels=0)
    out = spoken.write(compare([(HOSTILE, run), ("<i>$b_%", later(run))]), tmp_path / "out").parent

    for name in ("index.html", "tables/differences.html"):
        assert "<script>alert" not in (out / name).read_text("utf-8")
        assert "<b>&_" not in (out / name).read_text("utf-8")
        assert "<i>$" not in (out / name).read_text("utf-8")


def test_what_has_no_interval_has_no_figure(tmp_path):
    run = make_run(1, models=("plain",), explainers=("random",), datas=("d",), panels=0)
    out = spoken.write(compare([("old", run), ("new", later(run))]), tmp_path / "out").parent

    assert not (out / "figures").exists()
    assert "one image tells nothing" in (out / "index.html").read_text("utf-8")


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    page = spoken.write(PAIR, tmp_path / "out")
    before = page.read_bytes()
    monkeypatch.setattr(spoken, "write_study", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        spoken.write(PAIR, tmp_path / "out")
    assert page.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine")

    with pytest.raises(InvalidValueError, match="is a file"):
        spoken.write(PAIR, tmp_path / "out")


def test_results_are_compared_and_reported_in_python(tmp_path):
    found = xb.compare([Results(OLD), Results(later(OLD))])

    assert found.compared.names == ("run 1", "run 2")
    assert repr(found) == "Comparison(run 2 against run 1: 8 undecided, 3 better)"
    assert len(found.table) == len(found.sentences()) == 11
    assert found.report(tmp_path / "out").name == "index.html"
    assert found._repr_html_().count("<tr") > 11


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (("runs/a", "runs/b"), ("a", "b")),
        (("x/own", "y/own"), ("x", "y")),
        (("x/1/own", "y/1/own/"), ("x", "y")),
        (("s3://bucket/a", "/tmp/b"), ("a", "b")),
        (("x/run", "y/run", "x/other"), ("x/run", "y/run", "other")),
    ],
)
def test_runs_are_called_by_what_tells_them_apart(places, names, monkeypatch):
    from xai_bench import results

    monkeypatch.setattr(results, "load_results", lambda place: Results(OLD))

    assert tuple(name for name, _ in results._named(places)) == names


@pytest.mark.parametrize("second", ["a", "b/../a", "a/"])
def test_one_folder_twice_is_refused(second):
    with pytest.raises(RunError, match="is given twice; name two different runs"):
        xb.compare(["a", second])


def test_comparing_needs_no_torch():
    code = (
        "import sys, xai_bench as xb; xb.compare; import xai_bench.reports.comparison, xai_bench.runs.joined; "
        "sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
