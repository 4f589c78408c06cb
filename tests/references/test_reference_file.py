"""Reference files: what goes in comes out, the bytes are the same, and nothing else is taken for one."""

import json

import numpy as np
import pandas as pd
import pytest
from scored_runs import cell, run, set_cell

from benchmarks.stored import Shape
from benchmarks.stored import write as store
from xai_bench.errors import InvalidValueError, RunError
from xai_bench.references import content, read, rounded, write
from xai_bench.runs.run import SCORE_COLUMNS
from xai_bench.runs.store import load

SCORES = [0.123456789, 1.0, float("nan"), 1e-12]
RECORDS = np.arange(12.0).reshape(4, 3)
ROW, POINTS = set_cell(RECORDS, 0.25)
RUN = run(
    cell(SCORES),
    cell([5.0, 6.0, 7.0], metric="deletion", explainer="gradcam"),
    cell([1, 0, 1, 1], explainer="none", metric="pointing_game(tolerance=0)", explainer_spec="", model="b | <b>"),
    ROW,
    curves=[POINTS],
    created="2026-01-02T03:04:05+00:00",
    versions={"torch": "2.15.0"},
)


@pytest.fixture
def path(tmp_path):
    write(RUN, tmp_path / "reference.json", commit="abc")
    return tmp_path / "reference.json"


def changed(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


class TestRound:
    def test_the_scores_come_back_rounded(self, path):
        key = ["data", "model", "explainer", "metric", "sample"]
        there, back = (scores.sort_values(key).reset_index(drop=True) for scores in (RUN.scores, read(path).scores))
        kept = [name for name in SCORE_COLUMNS if name not in ("score", "clean", "error")]

        pd.testing.assert_frame_equal(back[kept], there[kept], check_dtype=False)
        np.testing.assert_array_equal(back["score"], rounded(there["score"].to_numpy(float)))

    def test_the_records_of_sets_come_back_and_no_other_curve(self, path):
        wide = read(path).curves.pivot_table(index="sample", columns="fraction", values="value")

        np.testing.assert_array_equal(wide.to_numpy(), RECORDS)
        assert set(read(path).curves["metric"]) == {"kar"}

    def test_seven_digits(self):
        assert rounded([0.123456789, 123456789.0, np.nan, np.inf]).tolist()[:2] == [0.1234568, 123456800.0]
        assert np.isnan(rounded([np.nan, np.inf])).all()

    def test_what_else_is_known(self, path):
        info = read(path).info

        assert (info["commit"], info["created"], info["seed"]) == ("abc", "2026-01-02T03:04:05+00:00", 0)
        assert info["versions"] == {"torch": "2.15.0"}

    def test_the_same_bytes_from_what_was_read(self, path):
        assert content(read(path), "abc") == path.read_bytes()

    def test_a_stored_run_gives_what_it_gives_from_memory(self, tmp_path):
        store(Shape(images=12, explainers=3, metrics=4, curves=2), tmp_path / "run")
        made = load(tmp_path / "run")
        write(made, tmp_path / "reference.json", commit="")
        back = read(tmp_path / "reference.json").scores

        assert len(back) == len(made.scores) == 12 * 3 * 4
        assert back["score"].tolist() == rounded(made.scores["score"].to_numpy(float)).tolist()

    def test_other_line_ends_are_nothing(self, path):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

        assert len(read(path).scores) == len(RUN.scores)


def test_two_hundred_images_of_thirty_cells_are_small_enough_to_commit(tmp_path):
    store(Shape(images=200, explainers=5, metrics=6, curves=6), tmp_path / "run")

    assert len(content(load(tmp_path / "run"))) < 200_000


def test_a_change_of_one_score_is_three_lines_of_a_diff(path):
    before = path.read_text().splitlines()
    other = content(run(cell([0.2, *SCORES[1:]]), *[RUN.scores.iloc[4:]], curves=[POINTS], **RUN.info), "abc")
    after = other.decode().splitlines()
    differing = [line for line, then in zip(after, before, strict=True) if line != then]

    assert len(differing) == 3  # the head with its mean, the scores, the digest
    assert '"mean": 0.4,' in differing[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "is no reference file of xai_bench: it is not JSON"),
        ('{"xai_bench_reference": ' + "[" * 100_000, "is cut off or damaged"),
        ("", "is empty; restore it from version control, or make it anew"),
        ("  \n", "is empty"),
        ("model,score\n", "is no reference file of xai_bench: it is not JSON"),
        ("{}", "is no reference file of xai_bench: it has no 'xai_bench_reference'"),
        ("[1]", "is no reference file"),
        ("null", "is no reference file"),
        ('{"xai_bench_reference": 1}', "was edited or damaged: its digest does not fit"),
        ('{"xai_bench_reference": 2}', "has format 2, but this version of xai_bench reads 1"),
    ],
)
def test_what_is_no_reference_is_refused(tmp_path, text, said):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(RunError, match=said):
        read(tmp_path / "r.json")


class TestDamaged:
    @pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
    def test_cut_off(self, path, share):
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        with pytest.raises(RunError, match="is cut off or damaged"):
            read(path)

    def test_a_score_was_edited(self, path):
        changed(path, "0.1234568", "0.9234568")
        with pytest.raises(RunError, match="was edited or damaged"):
            read(path)

    def test_nan_is_no_score(self, path):
        changed(path, "0.1234568", "NaN")
        with pytest.raises(RunError, match="NaN is no score"):
            read(path)

    def test_marks_of_a_merge(self, path):
        changed(path, ' "cells"', '<<<<<<< HEAD\n "cells"')
        with pytest.raises(RunError, match="cut off or damaged"):
            read(path)

    def test_forged_with_its_digest(self, path):
        from xai_bench.references.layout import digest

        table = json.loads(path.read_text())
        table["cells"][1]["scores"].pop()
        table["digest"] = digest({key: value for key, value in table.items() if key != "digest"})
        path.write_text(json.dumps(table))
        with pytest.raises(RunError, match=r"is damaged.*3 scores of 4 images"):
            read(path)

    def test_no_cells(self, path):
        from xai_bench.references.layout import digest

        table = json.loads(path.read_text()) | {"cells": []}
        table["digest"] = digest({key: value for key, value in table.items() if key != "digest"})
        path.write_text(json.dumps(table))
        with pytest.raises(RunError, match="holds no scores"):
            read(path)

    def test_bytes_that_are_no_text(self, tmp_path):
        (tmp_path / "r.json").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(RunError, match="it is not text"):
            read(tmp_path / "r.json")

    def test_not_there(self, tmp_path):
        with pytest.raises(RunError, match="cannot be read: No such file"):
            read(tmp_path / "r.json")


class TestWrite:
    def test_a_foreign_file_is_left_alone(self, tmp_path):
        (tmp_path / "notes.json").write_text('{"my": "notes"}')
        with pytest.raises(InvalidValueError, match="is no reference file, so it is not written over"):
            write(RUN, tmp_path / "notes.json", commit="")
        assert (tmp_path / "notes.json").read_text() == '{"my": "notes"}'

    def test_a_damaged_reference_is_replaced(self, path):
        path.write_bytes(path.read_bytes()[:300])
        write(RUN, path, commit="abc")

        assert len(read(path).scores) == len(RUN.scores)

    def test_a_folder_is_refused(self, tmp_path):
        with pytest.raises(InvalidValueError, match="is a folder"):
            write(RUN, tmp_path, commit="")

    def test_a_place_that_cannot_be(self, path):
        with pytest.raises(InvalidValueError, match="cannot be written: File exists"):
            write(RUN, path / "below.json", commit="")

    def test_a_run_without_scores(self, tmp_path):
        empty = run(cell([0.5]))
        with pytest.raises(RunError, match="nothing to keep"):
            write(type(empty)(empty.scores.iloc[:0], empty.curves, {}), tmp_path / "r.json", commit="")

    def test_half_a_run(self, tmp_path):
        half = run(cell([0.5, 0.6]), data={"d": {"n": 3}})
        with pytest.raises(RunError, match="'insertion' of 'ig' on 'm' for 2 of the 3 images of 'd'; run"):
            write(half, tmp_path / "r.json", commit="")

    def test_an_image_twice(self, tmp_path):
        with pytest.raises(RunError, match="twice for image 's0'"):
            write(run(cell([0.5]), cell([0.6])), tmp_path / "r.json", commit="")

    def test_several_seeds(self, tmp_path):
        with pytest.raises(RunError, match="holds one seed, but the run has 2"):
            write(run(cell([0.5]), cell([0.5], seed=1)), tmp_path / "r.json", commit="")
