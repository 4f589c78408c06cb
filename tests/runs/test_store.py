"""The store alone: whole files, what vouches for what, one writer, full disks, URLs, other readers."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from synthetic_store import SUITE, info, unit

from xai_bench.cli_runs import _text
from xai_bench.errors import RunError, UnknownNameError
from xai_bench.results import load_results
from xai_bench.runs import files
from xai_bench.runs.cells import Cell
from xai_bench.runs.store import Folder, Memory, cleared, load
from xai_bench.runs.verify import show
from xai_bench.whole import UNFINISHED

CELL = Cell("d", "m", "e", "deletion", "s0")


def filled(where, *units, **changed):
    with Folder(where, info(**changed), SUITE) as sink:
        for one in units or (unit((0, 1)), unit((2, 3))):
            sink.add(one)
        return sink.run()


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("where", ["disk", "memory://store-test/run"])
def test_what_goes_in_comes_out_in_the_order_of_the_suite(tmp_path, where):
    place = tmp_path / "run" if where == "disk" else where
    run = filled(place, unit((2, 3)), unit((1, 0)))
    again = load(place)
    with Memory(info()) as memory:
        memory.add(unit((2, 3)))
        memory.add(unit((1, 0)))
        kept = memory.run()

    assert run.scores["sample"].tolist() == ["*", "s0", "s1", "s2", "s3"]
    assert run.scores["score"].tolist() == pytest.approx([np.log(2), 0.5, 1.5, 2.5, 3.5])
    assert len(run.curves) == 4 * 4
    assert [panel.sample for panel in run.gallery] == ["s0", "s1", "s2", "s3"]
    for other in (again, kept):
        pd.testing.assert_frame_equal(other.scores, run.scores)
        pd.testing.assert_frame_equal(other.curves, run.curves)
        assert [panel.image.tolist() for panel in other.gallery] == [panel.image.tolist() for panel in run.gallery]


def test_done_knows_rows_and_records_a_bit_each(tmp_path):
    filled(tmp_path / "run", unit((0, 1)))
    with Folder(tmp_path / "run", info(), SUITE) as sink:
        done = sink.done()

    assert CELL in done
    assert CELL._replace(sample="s2") not in done
    assert CELL._replace(model="other") not in done
    assert set(done.get(("d", "m", "none", "class_entropy"))) == {"s0", "s1"}
    assert len(done.get(("d", "m", "none", "deletion"))) == 0
    assert (len(done), sorted(done)[0]) == (4, CELL)


def test_maps_come_back_exactly_and_only_where_all_are_there(tmp_path):
    first, second = unit((0, 1), maps=True), unit((2, 3), maps=True)
    filled(tmp_path / "run", first, second)
    with Folder(tmp_path / "run", info(), SUITE) as sink:
        found = sink.maps("d", "m", "e", ["s3", "s0"])

        assert np.array_equal(found, np.stack([second.maps["m", "e"][1], first.maps["m", "e"][0]]))
        assert found.dtype == np.float32
        assert sink.maps("d", "m", "e", ["s0", "s9"]) is None
        assert sink.maps("d", "m", "other", ["s0"]) is None


def test_notes_are_merged_into_run_json_and_stay(tmp_path):
    for model, size in (("a", 64), ("b", 32)):
        with Folder(tmp_path / "run", info(), SUITE) as sink:
            sink.note({"chunk": {model: size}})

    assert load(tmp_path / "run").info["chunk"] == {"a": 64, "b": 32}


@pytest.mark.parametrize("dies_at", ["maps", "gallery", "curves", "scores"])
def test_a_unit_that_was_not_finished_is_not_there(tmp_path, monkeypatch, dies_at):
    """The process dies at one of the four writes; the next start computes the unit again and nothing is doubled."""
    folder, whole = tmp_path / "run", files.write_whole

    def dying(path, content):
        if path.parent.name == dies_at:
            (path.parent / f".{path.name}.0{UNFINISHED}").write_bytes(content[:20])
            raise KeyboardInterrupt
        whole(path, content)

    monkeypatch.setattr(files, "write_whole", dying)
    with pytest.raises(KeyboardInterrupt), Folder(folder, info(), SUITE) as sink:
        sink.add(unit((0, 1), maps=True))
    monkeypatch.undo()

    with Folder(folder, info(), SUITE) as sink:
        assert len(sink.done()) == 0
        assert len(load(folder).curves) == 0
        sink.add(unit((0,)))  # the next start has other batches
        sink.add(unit((1,)))
        run = sink.run()

    assert len(run.scores) == 3
    assert not run.curves.duplicated(["explainer", "sample", "fraction"]).any()
    assert not [name for name in files_of(folder) if "/." in name or name.startswith(".")]


HOLD = """
import sys, time
sys.path.insert(0, {tests!r})
from synthetic_store import SUITE, info, unit
from xai_bench.runs.store import Folder
sink = Folder(sys.argv[1], info(), SUITE)
sink.add(unit((0, 1)))
print("held", flush=True)
time.sleep(60)
"""


def test_two_processes_on_one_folder_and_one_that_was_killed(tmp_path):
    code, folder = HOLD.format(tests=str(Path(__file__).parent)), tmp_path / "run"
    holder = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=rf"is in use by process {holder.pid} on .* since 20.*; wait for it"):
            Folder(folder, info(), SUITE)
        assert len(load_results(folder).scores) == 3  # reading needs no lock
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()

    assert (folder / ".lock").exists()
    with Folder(folder, info(), SUITE) as sink:
        assert CELL in sink.done()
    assert not [name for name in files_of(folder) if name.startswith(".")]


def test_a_full_disk_is_one_sentence_and_keeps_what_is_finished(tmp_path, monkeypatch):
    folder, whole = tmp_path / "run", os.fsync
    with Folder(folder, info(), SUITE) as sink:
        sink.add(unit((0, 1)))
        monkeypatch.setattr(
            os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device"))
        )
        with pytest.raises(
            RunError, match=r"run' cannot be written: No space left on device; what is finished is kept"
        ):
            sink.add(unit((2, 3)))
        monkeypatch.setattr(os, "fsync", whole)

    assert load(folder).scores["sample"].tolist() == ["*", "s0", "s1"]
    assert not [name for name in files_of(folder) if UNFINISHED in name]


def test_no_permission_is_one_sentence(tmp_path, monkeypatch):
    def closed(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", closed)
    with pytest.raises(RunError, match=r"run' cannot be written: Permission denied$"):
        Folder(tmp_path / "run", info(), SUITE)


def test_a_file_is_no_run_folder(tmp_path):
    (tmp_path / "run").write_text("years of work")
    with pytest.raises(RunError, match=r"a run is kept in a folder, but '.*run' is a file"):
        Folder(tmp_path / "run", info(), SUITE)


def test_a_url_without_its_driver_says_what_to_install(monkeypatch):
    import fsspec

    monkeypatch.setitem(
        sys.modules[f"{fsspec.__name__}.registry"].known_implementations,
        "nodriver",
        {"class": "nodriver.FS", "err": "Install nodriver to access it"},
    )
    with pytest.raises(RunError, match="'nodriver://x/run' needs a driver that is not installed: Install nodriver"):
        files.place("nodriver://x/run")
    with pytest.raises(UnknownNameError, match=r"unknown kind of URL 'memry://'; did you mean 'memory://'"):
        files.place("memry://run")


def test_pandas_duckdb_and_polars_read_a_run_as_it_is(tmp_path):
    run = filled(tmp_path / "run")
    plain = pd.read_parquet(tmp_path / "run" / "scores")
    found = duckdb.sql(f"SELECT count(*), sum(score) FROM read_parquet('{tmp_path}/run/scores/*.parquet')").fetchall()[
        0
    ]
    lazy = pl.read_parquet(tmp_path / "run" / "curves" / "*.parquet")

    assert plain["score"].sum() == found[1] == pytest.approx(run.scores["score"].sum())
    assert (len(plain), found[0], len(lazy)) == (5, 5, 16)


def test_curves_are_read_only_when_they_are_asked_for(tmp_path):
    filled(tmp_path / "run")
    run = load(tmp_path / "run")
    for path in (tmp_path / "run" / "curves").iterdir():
        path.write_bytes(b"broken")

    assert len(run.scores) == 5
    with pytest.raises(RunError, match="is damaged"):
        assert len(run.curves)


def test_a_second_suite_is_joined_to_the_first(tmp_path):
    import tomllib

    filled(tmp_path / "run")
    second = 'seed = 0\nmodels = ["n"]\nmetrics = ["deletion", "insertion"]\ndata = ["d"]\n'
    second += 'explainers = [{name = "ig", steps = 8}]\n'
    with Folder(tmp_path / "run", info(models=("n",)), second):
        pass
    suite = tomllib.loads((tmp_path / "run" / "suite.toml").read_text())

    assert suite["models"] == ["m", "n"]
    assert suite["metrics"] == ["deletion", "insertion"]
    assert suite["explainers"] == ["e", {"name": "ig", "steps": 8}]
    assert set(load(tmp_path / "run").info["models"]) == {"m", "n"}


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"seed": 1}, r"made with seed 0, not 1; choose another --out, begin anew \(--fresh\), or put seed back to 0"),
        ({"precision": "bf16"}, r"made with precision 'fp32', not 'bf16'"),
        ({"models": {"m": {"fingerprint": "cc"}}}, r"another 'm' \(fingerprint 'aa', now 'cc'\).* another label"),
        ({"data": {"d": {"fingerprint": "cc"}}}, r"another 'd' \(fingerprint 'bb', now 'cc'\)"),
        (
            {"explainers": {"e": {"spec": "e()", "version": 2}}},
            r"another 'e' \(version None, now 2\); choose another --out, or begin anew \(--fresh\)$",
        ),
        (
            {"models": {"m": {"fingerprint": "cc"}}, "versions": {"timm": "2.0"}},
            r"\(timm 1.0 then, 2.0 now\)",
        ),
    ],
)
def test_what_differs_is_said_with_both_values_and_what_to_do(tmp_path, changed, sentence):
    filled(tmp_path / "run")
    before = files_of(tmp_path / "run")

    with pytest.raises(RunError, match=sentence):
        Folder(tmp_path / "run", info() | changed, SUITE)
    assert files_of(tmp_path / "run") == before


def test_a_start_killed_before_run_json_can_start_again(tmp_path):
    (tmp_path / ".run.json.0.tmp").write_text("{")
    (tmp_path / ".lock").touch()

    assert len(filled(tmp_path).scores) == 5


def test_another_folder_of_the_user_is_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    with pytest.raises(RunError, match="holds other things than a run"):
        Folder(tmp_path, info(), SUITE)
    assert os.listdir(tmp_path) == ["thesis"]  # noqa: PTH208


def test_points_of_no_metric_are_none(tmp_path):
    with Memory(info()) as memory:
        memory.add(unit())
        run = memory.run()

    assert len(run.points([])) == len(filled(tmp_path / "run").points([])) == 0
    assert set(run.points(["deletion"])["metric"]) == {"deletion"}


EMPTY = {
    "explainers": {"plug": {"spec": "plug() 1"}},
    "metrics": {"insertion": info()["metrics"]["deletion"] | {"spec": "x=1"}},
    "models": {"n": {"fingerprint": "aa", "device": "cpu"}},
    "data": {"f": {"fingerprint": "bb", "n": 4}},
}


def with_more(number):
    """The synthetic run's facts with one more label of each kind, in its number-th shape."""
    found = info()
    for kind, table in EMPTY.items():
        ((label, facts),) = table.items()
        what = "spec" if "spec" in facts else "fingerprint"
        found[kind] = found[kind] | {label: facts | {what: f"shape {number}"}}
    return found


def test_what_never_gave_anything_may_be_mended(tmp_path):
    filled(tmp_path / "run", **{kind: with_more(1)[kind] for kind in EMPTY})
    with Folder(tmp_path / "run", with_more(2), SUITE) as sink:
        table = sink.run().info

    assert table["explainers"]["plug"]["spec"] == table["metrics"]["insertion"]["spec"] == "shape 2"
    assert table["models"]["n"]["fingerprint"] == table["data"]["f"]["fingerprint"] == "shape 2"


def test_kept_maps_of_an_explainer_that_no_metric_could_score_are_not_another_s(tmp_path):
    one = unit((0, 1), maps=True)
    one.maps["m", "plug"] = one.maps["m", "e"]
    filled(tmp_path / "run", one, explainers=with_more(1)["explainers"])

    with pytest.raises(RunError, match=r"another 'plug' \(spec 'shape 1', now 'shape 2'\)"):
        Folder(tmp_path / "run", info() | {"explainers": with_more(2)["explainers"]}, SUITE)


def test_another_version_of_ours_is_refused_and_other_packages_are_remembered(tmp_path):
    filled(tmp_path / "run", machine={"gpu": ""})
    with pytest.raises(RunError, match=r"by xai-bench 0.1.0, this is 0.2.0; go on with that version, choose another"):
        Folder(tmp_path / "run", info(versions={"xai-bench": "0.2.0", "timm": "1.0"}), SUITE)

    second = {"versions": {"xai-bench": "0.1.0", "timm": "2.0"}, "machine": {"gpu": ""}, "created": "2026-02-02"}
    third = {"versions": {"xai-bench": "0.1.0", "timm": "2.0"}, "machine": {"gpu": "H200"}, "created": "2026-03-03"}
    for changed in (second, second, third, second, third):
        with Folder(tmp_path / "run", info(**changed), SUITE) as sink:
            table = sink.run().info

    first = {"versions": info()["versions"], "machine": {"gpu": ""}, "created": info()["created"]}
    assert table["earlier"] == [first, second, third]
    assert (table["created"], table["started"]) == (info()["created"], "2026-03-03")
    assert table["machine"] == {"gpu": "H200"}
    assert "3 with other packages" in _text(show(files.place(tmp_path / "run")))


def test_lost_curves_are_told_by_load_and_by_a_second_start(tmp_path):
    filled(tmp_path / "run")
    lost = min((tmp_path / "run" / "curves").iterdir())
    lost.unlink()

    with pytest.warns(UserWarning, match=rf"curves are gone \(curves/{lost.name}, the first of 1\); `xai-bench runs"):
        load(tmp_path / "run")
    with pytest.warns(UserWarning, match="curves are gone"), Folder(tmp_path / "run", info(), SUITE) as sink:
        sink.run()


def test_a_run_is_begun_anew_and_what_is_no_part_of_it_stays(tmp_path):
    filled(tmp_path)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").write_text("kept")
    cleared(files.place(tmp_path))

    assert files_of(tmp_path) == ["report/index.html"]
    assert len(filled(tmp_path, unit((0,)), seed=1).scores) == 2  # one image and the set


def test_where_there_is_no_run_nothing_is_taken_away(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    cleared(files.place(tmp_path))

    assert files_of(tmp_path) == ["notes.txt"]


def test_a_run_that_another_process_writes_is_not_taken_away(tmp_path):
    with Folder(tmp_path, info(), SUITE), pytest.raises(RunError, match="in use"):
        cleared(files.place(tmp_path))
