"""What a run holds, whether it is whole, what can go: each fault is planted and found."""

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_store import SUITE, info, unit

from xai_bench.errors import RunError
from xai_bench.runs import collect as collecting
from xai_bench.runs.collect import collect
from xai_bench.runs.files import Disk, place
from xai_bench.runs.store import Folder, load
from xai_bench.runs.verify import show, verify


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "run"
    with Folder(folder, info(), SUITE) as sink:
        for start in (0, 2):
            sink.add(unit((start, start + 1), maps=True))
        sink.run()
    return folder


@pytest.fixture
def folder(made, tmp_path):
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def problems(folder):
    return [str(problem) for problem in verify(place(folder))]


def one(folder, room):
    return next(path for path in sorted((folder / room).iterdir()) if path.stem != "set")


def test_a_whole_run_is_whole(folder):
    assert problems(folder) == []


def test_show_counts_what_is_expected_there_and_missing(folder):
    one(folder, "scores").unlink()
    found = show(place(folder))

    assert found["cells"] == {"expected": 8, "there": 4, "missing": 4, "undefined": 0}
    assert {(line["metric"], line["there"], line["missing"]) for line in found["lines"]} == {
        ("deletion", 2, 2),
        ("class_entropy", 2, 2),
    }
    assert found["files"]["maps"]["files"] == 2
    assert json.loads(json.dumps(found))["precision"] == "fp32"


@pytest.mark.parametrize("room", ["scores", "curves", "gallery", "maps"])
def test_a_flipped_byte_is_found_or_decides_nothing(folder, made, room):
    path, whole = one(folder, room), load(made)
    content = path.read_bytes()
    missed = 0
    for spot in range(0, len(content), max(1, len(content) // 30)):
        path.write_bytes(content[:spot] + bytes([content[spot] ^ 0x10]) + content[spot + 1 :])
        if not problems(folder):
            missed += 1
            pd.testing.assert_frame_equal(load(folder).scores, whole.scores)
            pd.testing.assert_frame_equal(load(folder).curves, whole.curves)

    assert missed == 0 if room in ("gallery", "maps") else missed < 15  # a Parquet footer says much that nobody asks


def test_a_truncated_file_is_named_with_what_to_do(folder):
    path = one(folder, "curves")
    path.write_bytes(path.read_bytes()[:-9])

    (found,) = problems(folder)
    assert found.startswith(f"curves/{path.name} is damaged")
    assert found.endswith(f"remove it and the other files called '{path.stem}', then run the suite again")


def test_missing_cells_lost_curves_and_leftovers_are_named(folder):
    lost = one(folder, "curves")
    lost.unlink()
    (folder / "scores" / ".x.parquet.0.tmp").write_bytes(b"half")
    (folder / ".report.abc").mkdir()
    shutil.copy(one(folder, "gallery"), folder / "gallery" / "orphan.safetensors")
    text = "\n".join(problems(folder))

    assert f"scores/{lost.stem}.parquet has no curves/{lost.stem}.parquet; remove the former" in text
    assert "2 of 4 cells are missing: class_entropy of none on m, d" in text
    for name in ("scores/.x.parquet.0.tmp", ".report.abc", "gallery/orphan.safetensors"):
        assert f"{name} is left of a process that was killed" in text


def test_doubled_rows_are_found_and_gc_leaves_one_of_each(folder):
    before = load(folder)
    for room, end in (("scores", "parquet"), ("curves", "parquet")):
        shutil.copy(one(folder, room), folder / room / f"copy.{end}")
    assert "2 rows are there twice, the first of d, m, e, deletion, s" in "\n".join(problems(folder))

    collect(place(folder))
    pd.testing.assert_frame_equal(load(folder).scores, before.scores)
    pd.testing.assert_frame_equal(load(folder).curves, before.curves)
    assert problems(folder) == []


def test_rows_of_another_model_are_found(folder):
    table = json.loads((folder / "run.json").read_text())
    table["models"]["m"]["fingerprint"] = "zz"
    (folder / "run.json").write_text(json.dumps(table))

    assert "made with fingerprints 'model=aa data=bb', run.json says 'model=zz data=bb'" in "\n".join(problems(folder))


def test_gc_merges_and_nothing_changes_for_a_reader(folder):
    before = load(folder)
    (folder / "curves" / ".x.parquet.0.tmp").write_bytes(b"half")
    asked = collect(place(folder), dry_run=True)
    untouched = load(folder)
    gone = collect(place(folder))
    after = load(folder)

    assert [item.name for item in asked] == [item.name for item in gone]
    assert len(list((folder / "scores").iterdir())) == 2  # merged and set
    for run in (untouched, after):
        pd.testing.assert_frame_equal(run.scores, before.scores)
        pd.testing.assert_frame_equal(run.curves, before.curves)
        assert len(run.gallery) == 4
    assert problems(folder) == []
    assert collect(place(folder)) == []
    with Folder(folder, info(), SUITE) as sink:
        assert len(sink.done()) == 8
        assert sink.maps("d", "m", "e", ["s0", "s3"]).shape == (2, 4, 5)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("survived", range(10))
def test_gc_may_be_killed_at_any_write_or_removal(folder, monkeypatch, survived):
    before, left = load(folder), [survived]
    for name in ("write", "remove"):
        real = getattr(Disk, name)

        def dying(self, *args, real=real):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            real(self, *args)

        monkeypatch.setattr(Disk, name, dying)
    with suppress(Killed):
        collect(place(folder))
    monkeypatch.undo()

    pd.testing.assert_frame_equal(load(folder).scores, before.scores)
    pd.testing.assert_frame_equal(load(folder).curves, before.curves)
    with Folder(folder, info(), SUITE) as sink:
        assert len(sink.done()) == 8
        pd.testing.assert_frame_equal(sink.run().scores, before.scores)
    collect(place(folder))
    assert problems(folder) == []


def test_gc_gives_up_cells_that_run_json_no_longer_names_and_they_can_come_back(tmp_path):
    folder = tmp_path / "run"
    both, extra = info(models=("m", "n")), unit((0, 1, 2, 3), "n", maps=True)
    with Folder(folder, both, SUITE) as sink:
        sink.add(unit((0, 1, 2, 3), maps=True))
        sink.add(extra)
        whole = sink.run()
    (folder / "run.json").write_text(json.dumps(info()))
    assert set(load(folder).scores["model"]) == {"m"}

    collect(place(folder))
    assert "n" not in set(pd.read_parquet(folder / "scores", filters=[("sample", "!=", "*")])["model"])
    assert len(list((folder / "maps").iterdir())) == 1

    with Folder(folder, both, SUITE) as sink:
        assert ("d", "n", "e", "deletion", "s0") not in sink.done()
        sink.add(extra)
        assert ("d", "n", "e", "deletion", "s0") in sink.done()
        pd.testing.assert_frame_equal(sink.run().scores, whole.scores)


def test_gc_takes_kept_maps_only_when_told(folder):
    collect(place(folder))
    assert len(list((folder / "maps").iterdir())) == 2
    gone = collect(place(folder), maps=True)

    assert [item.why for item in gone] == ["kept maps", "kept maps"]
    assert problems(folder) == []
    assert len(load(folder).gallery) == 4


def test_gc_waits_for_the_writer(folder):
    with Folder(folder, info(), SUITE), pytest.raises(RunError, match="is in use by process"):
        collect(place(folder))


def test_the_same_at_a_url():
    where = "memory://verify-test/run"
    with Folder(where, info(), SUITE) as sink:
        for start in (0, 2):
            sink.add(unit((start, start + 1), maps=True))
        run = sink.run()

    assert problems(where) == []
    collect(place(where))
    assert problems(where) == []
    pd.testing.assert_frame_equal(load(where).scores, run.scores)
    assert np.isfinite(load(where).curves["value"]).all()


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-c", "from xai_bench.cli import main; main()", "runs", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands_and_their_exit_codes(folder, tmp_path):
    shown, whole = command("show", str(folder), "--json"), command("verify", str(folder))
    one(folder, "scores").unlink()
    broken, none = command("verify", str(folder)), command("verify", str(tmp_path))

    assert json.loads(shown.stdout)["cells"]["there"] == 8
    assert (whole.returncode, whole.stdout) == (0, "")
    assert broken.returncode == 1
    assert "cells are missing" in broken.stdout
    assert none.returncode == 2
    assert "is not a run folder: it has no run.json" in none.stderr
    assert "deletion" in command("show", str(folder)).stdout
    gone = command("gc", str(folder), "--dry-run")
    assert "left of a killed process" in gone.stdout
    assert "would go" in gone.stderr


def test_merging_stops_at_large_files(folder, monkeypatch):
    monkeypatch.setattr(collecting, "LARGE", 3)

    assert collect(place(folder)) == []
    assert Path(folder / "scores").is_dir()


def counting(listed, real=Disk.sizes):
    def sizes(self, room=""):
        listed.append(room)
        return real(self, room)

    return sizes


@pytest.mark.parametrize("dry_run", [True, False])
def test_gc_lists_no_room_anew_for_each_file(tmp_path, monkeypatch, dry_run):
    counts = []
    for units in (3, 30):
        folder, listed = tmp_path / str(units), []
        with Folder(folder, info(n=units), SUITE) as sink:
            for number in range(units):
                sink.add(unit((number,)))
            sink.add(unit(range(units)))  # all the others are doubles of it
        monkeypatch.setattr(Disk, "sizes", counting(listed))
        assert len(collect(place(folder), dry_run=dry_run)) >= units
        monkeypatch.undo()
        counts.append(len(listed))

    assert counts[0] == counts[1] <= 10


def test_what_never_gave_anything_may_be_taken_out_of_what_is_asked(folder):
    table = json.loads((folder / "run.json").read_text())
    table["explainers"]["slip"] = {"spec": "slip()"}
    table["asked"]["d"]["m"]["slip"] = ["deletion"]
    (folder / "run.json").write_text(json.dumps(table))
    (found,) = problems(folder)
    assert found.startswith("4 of 4 cells are missing: deletion of slip on m, d; run the suite again")
    assert found.endswith(", or take 'slip' out of 'asked' in run.json")

    del table["asked"]["d"]["m"]["slip"]
    (folder / "run.json").write_text(json.dumps(table))
    assert problems(folder) == []
    one(folder, "scores").unlink()
    assert not [line for line in problems(folder) if "'asked'" in line]
