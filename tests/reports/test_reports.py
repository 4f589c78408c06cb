import dataclasses
import errno
import os
import re
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from page_tags import Page
from synthetic_run import HOSTILE, SPEC, make_run

from xai_bench import reports
from xai_bench.errors import InvalidValueError, RunError
from xai_bench.reports import folder
from xai_bench.results import Results


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("written") / "report"
    return reports.write(make_run(12, datas=("planted/test",), panels=1), out)


def files(out):
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def test_a_report_is_tables_figures_and_a_page(written):
    pictures = {f"figures/{name}.{form}" for name in ("curves", "forest", "gallery") for form in ("pdf", "svg", "png")}
    sheets = ("leaderboard", "scores", "differences", "ranks", "readings", "aggregates", "undefined", "provenance")
    texts = {f"tables/{name}.{form}" for name in sheets for form in ("csv", "md", "tex", "html")}

    assert written.name == "index.html"
    assert pictures | texts | {"tables/summary.csv", "tables/curves.csv", "index.html"} <= files(written.parent)


def test_nothing_is_left_beside_the_report(written):
    assert [path.name for path in written.parent.parent.iterdir()] == ["report"]


def test_the_page_is_well_formed_and_needs_nothing_from_outside(written):
    page = Page(written.read_text("utf-8"))
    sources = [attrs[name] for _, attrs in page.found for name in ("src", "href") if name in attrs]

    assert page.open == []
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "@import" not in written.read_text("utf-8")


def test_the_page_can_be_read_aloud(written):
    found = Page(written.read_text("utf-8")).found

    assert all(attrs.get("alt") for tag, attrs in found if tag == "img")
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in found if tag == "th")
    assert ("html", {"lang": "en-GB"}) in found


def test_the_page_says_specs_provenance_and_findings(written):
    text = written.read_text("utf-8")

    for part in (SPEC, "versions.xai_bench", "model=0123456789ab", "points at the object more often", "machine.cpu"):
        assert part in text


def test_footnotes_lead_somewhere(written):
    text = written.read_text("utf-8")

    assert set(re.findall(r'href="#(note-\d+)"', text)) <= set(re.findall(r'id="(note-\d+)"', text))


def test_names_are_escaped_on_the_page(tmp_path):
    run = make_run(3, models=(HOSTILE,), explainers=("ig", "random"), datas=("<b>&_%$",), panels=1)
    run = dataclasses.replace(run, info={HOSTILE: [{"x": HOSTILE}]})
    text = reports.write(run, tmp_path / "out").read_text("utf-8")

    assert "<script>alert" not in text
    assert "<b>&_" not in text
    assert Page(text).open == []
    assert [attrs.get("id", "") for tag, attrs in Page(text).found if tag == "script"] == [
        *("data-lines", "data-explorer"),
        *("", ""),
    ]


def test_the_same_run_gives_the_same_report(tmp_path):
    run = make_run(3, models=("ersm",), explainers=("energy", "random"), datas=("planted/test",), panels=1)
    first, second = (reports.write(run, tmp_path / name).parent for name in ("a", "b"))

    assert files(first) == files(second)
    assert [name for name in files(first) if (first / name).read_bytes() != (second / name).read_bytes()] == []


def nothing_defined(run):
    return dataclasses.replace(run, scores=run.scores.assign(score=np.nan, reason="map is constant"))


def only_scores(run):
    return dataclasses.replace(run, curves=run.curves.iloc[:0], gallery=(), explainers={}, info={}, cards={})


@pytest.mark.parametrize(("poorer", "images"), [(nothing_defined, 2), (only_scores, 1), (lambda run: run, 1)])
def test_poor_runs_are_reported_too(tmp_path, poorer, images):
    run = make_run(images, models=("plain",), explainers=("gradcam", "random"), datas=("planted/test",), panels=1)

    assert reports.write(poorer(run), tmp_path / "out").exists()
    assert reports.text_table(poorer(run))


def test_undefined_is_said_and_never_zero():
    words = reports.text_table(nothing_defined(make_run(3, datas=("planted/test",))))

    assert "undefined" in words
    assert "0.000" not in words


def test_an_empty_run_is_refused_in_one_sentence(tmp_path):
    run = make_run(2)

    with pytest.raises(RunError, match="the run has no scores, so there is nothing to report; run its suite first"):
        reports.write(dataclasses.replace(run, scores=run.scores.iloc[:0]), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine")

    with pytest.raises(InvalidValueError, match="is a file"):
        reports.write(make_run(1), tmp_path / "out")


def test_other_files_stay_and_stale_figures_go(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "figures" / "gallery.png").write_text("of another run")
    reports.write(only_scores(make_run(2, models=("plain",), datas=("d",), explainers=("random",))), tmp_path)

    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "figures" / "gallery.png").exists()


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "index.html").write_text("the last report")
    monkeypatch.setattr(reports.page, "page", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        reports.write(make_run(2, models=("plain",), datas=("d",), explainers=("random",), panels=0), tmp_path / "out")
    assert files(tmp_path) == {"index.html"}


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    def full(folder, name, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("xai_bench.reports.folder._one", full)

    with pytest.raises(RunError, match=f"cannot write the report into '{tmp_path}/out': No space left on device; the"):
        Results(make_run(3)).report(tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room or choose another --out, and run `xai-bench report`"),
        (errno.EDQUOT, "make room or choose another --out"),
        (errno.ENOENT, "the scores are kept, choose another --out, and run"),
        (errno.EROFS, "the scores are kept, choose another --out, and run"),
    ],
)
def test_room_is_asked_for_only_where_it_lacks(tmp_path, monkeypatch, number, remedy):
    def failing(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("xai_bench.reports.write", failing)

    with pytest.raises(RunError, match=remedy):
        Results(make_run(1)).report(tmp_path / "out")


def test_what_a_killed_writer_left_goes_and_nothing_else(tmp_path):
    writer = subprocess.Popen([sys.executable, "-c", ""])
    writer.wait()
    node, old = socket.gethostname(), time.time() - 2 * folder.DAY
    gone = f".out.{node}-{writer.pid}-abcd_123"
    stay = [f".out.{node}-{os.getppid()}-abcd1234", f".out.elsewhere-{writer.pid}-abcd1234", ".out.abcd1234"]
    stay += [f".other.{node}-{writer.pid}-abcd1234", f".out.v2.{node}-{writer.pid}-abcd1234", ".out.notes", "outs"]
    ancient = [".out.abcd5678", f".out.elsewhere-{writer.pid}-abcd5678"]
    for name in (gone, *stay, *ancient):
        (tmp_path / name / "tables").mkdir(parents=True)
    for name in (*ancient, ".out.notes", "outs"):
        os.utime(tmp_path / name, (old, old))
    folder.put(tmp_path / "out", [("index.html", b"page")])

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["out", *stay])


def test_reports_and_statistics_never_import_torch():
    code = "import sys, xai_bench.stats, xai_bench.reports; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
