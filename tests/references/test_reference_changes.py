"""What an update changes, which words it has for it, and what it leaves alone."""

import json
import math

import numpy as np
import pytest
from scored_runs import cell, run, set_cell

from xai_bench.errors import InvalidValueError, RunError
from xai_bench.references import content, parsed, read, words, write
from xai_bench.references.changes import changes
from xai_bench.references.update import keep, updated

HOSTILE = "a | `b` <script>alert(1)</script>\n# [x](y) $z$"
HOLE = float("nan")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def kept(made):
    """As a reference gives it back."""
    return parsed(content(made, COMMIT), "reference.json")


def between(before, now):
    return changes(None if before is None else kept(before), kept(now))


def one(before, now):
    (found,) = between(before, now).cells
    return found


class TestCells:
    def test_by_how_much_it_got_worse(self):
        """Higher is better: 0.5 to 0.25 is 0.25 worse; lower is better: the same is 0.25 better."""
        up, down = cell([0.5, 0.5]), cell([0.5, 0.5], metric="deletion")
        found = between(run(up, down), run(up.assign(score=0.25), down.assign(score=0.25))).cells

        assert [(one.metric, one.before, one.now, one.worse) for one in found] == [
            ("insertion", 0.5, 0.25, 0.25),
            ("deletion", 0.5, 0.25, -0.25),
        ]

    def test_images_are_paired(self):
        """The image without a score now leaves the pairs: 0.2 to 0.1, although the mean rose from 0.1 to 0.1."""
        found = one(run(cell([0.0, 0.2])), run(cell([HOLE, 0.1])))

        assert (found.before, found.now, found.worse) == pytest.approx((0.1, 0.1, 0.1))
        assert (found.n_before, found.n, found.undefined_before, found.undefined) == (2, 1, 0, 1)

    def test_without_a_direction_nothing_is_worse(self):
        found = one(run(cell([0.5], metric="complexity")), run(cell([0.7], metric="complexity")))

        assert (found.kind, math.isnan(found.worse)) == ("changed", True)

    def test_gone_new_and_the_same(self):
        old = run(cell([0.5]), cell([0.6], metric="deletion"))
        now = run(cell([0.5]), cell([0.7], explainer="gradcam"))
        found = between(old, now)

        assert found.counts == {"gone": 1, "new": 1, "same": 1}
        assert [(one.kind, one.metric, one.explainer) for one in found.cells] == [
            ("gone", "deletion", "ig"),
            ("new", "insertion", "gradcam"),
            ("same", "insertion", "ig"),
        ]

    def test_the_worst_comes_first(self):
        parts = [cell([0.5], explainer=name) for name in ("ig", "gradcam", "rise")]
        scores = {"ig": 0.6, "gradcam": 0.1, "rise": 0.4}
        found = between(run(*parts), run(*(part.assign(score=scores[part["explainer"][0]]) for part in parts))).cells

        assert [one.explainer for one in found] == ["gradcam", "rise", "ig"]

    @pytest.mark.parametrize(
        ("told", "note"),
        [
            ({"spec": "x=1;steps=56"}, "Metric insertion is measured otherwise: steps=56 (was steps=28)."),
            ({"version": 2}, "Metric insertion is measured otherwise: version=2 (was version=1)."),
            (
                {"fingerprints": "model=aa data=cc"},
                "Data d hold other images: 2 before, 2 now, 2 of one name.",
            ),
        ],
        ids=["spec", "version", "images"],
    )
    def test_what_is_measured_otherwise_is_not_compared(self, told, note):
        found = between(run(cell([0.5, 0.5])), run(cell([0.1, 0.1], **told)))

        assert [(one.kind, math.isnan(one.worse)) for one in found.cells] == [("other", True)]
        assert found.notes[0] == note

    def test_another_reason_is_a_change(self):
        found = one(run(cell([HOLE, 0.5])), run(cell([HOLE, 0.5], reason="no region")))

        assert (found.kind, found.worse) == ("changed", 0.0)

    def test_all_undefined(self):
        found = one(run(cell([0.5, 0.5])), run(cell([HOLE, HOLE])))

        assert (found.before, found.n, found.undefined) == (0.5, 0, 2)
        assert math.isnan(found.now)

    def test_a_set_metric_is_one_number_of_its_images(self):
        records = np.arange(6.0).reshape(3, 2)
        (old, points), (new, moved) = set_cell(records, 0.5), set_cell(records, 0.4)
        found = one(run(old, curves=[points]), run(new, curves=[moved]))

        assert (found.before, found.now, found.worse, found.n) == pytest.approx((0.5, 0.4, 0.1, 3))
        assert one(run(old, curves=[points]), run(old, curves=[moved.assign(value=9.0)])).kind == "changed"

    def test_what_may_explain_it_is_told(self):
        old = run(cell([0.5]), versions={"torch": "2.14"})
        more = {"seed": 1, "fingerprints": "model=zz data=bb", "explainer_spec": "ig(steps=9)"}
        notes = between(old, run(cell([0.5], **more), versions={"torch": "2.15"})).notes

        assert notes == (
            "The new one was scored with seed 1, the old reference with 0.",
            "The new one was made with torch 2.15 (2.14); in brackets what the old reference was made with.",
            "Model m has other weights, layers or preprocessing in the new one than in the old reference.",
            "Explainer ig is ig(steps=9) in the new one and ig() in the old reference.",
        )


class TestWords:
    MANY = between(
        run(cell([0.5]), cell([0.6], metric="deletion"), cell([0.5], metric="complexity")),
        run(cell([0.25]), cell([0.7], explainer="gradcam"), cell([0.6], metric="complexity"), ),
    )  # fmt: skip

    def test_one_sentence_counts_them(self):
        said = words.sentence(self.MANY, "reference.json")

        assert said == "reference.json, 4 cells: 1 gone, 2 changed (1 worse), 1 new."

    def test_a_table_for_the_terminal(self):
        lines = words.text(self.MANY, "reference.json").splitlines()

        assert lines[2].split() == ["explainer", "metric", "before", "now", "change", "images", "undefined"]
        assert [line.split() for line in lines[4:8]] == [
            ["gone", "ig", "deletion", "↓", "0.6", "1", "0"],
            ["changed", "ig", "insertion", "↑", "0.5", "0.25", "0.25", "worse", "1", "0"],
            ["changed", "ig", "complexity", "0.5", "0.6", "+0.1", "1", "0"],
            ["new", "gradcam", "insertion", "↑", "0.7", "1", "0"],
        ]

    def test_counts_that_changed(self):
        said = words.text(between(run(cell([0.5, 0.5])), run(cell([0.5, HOLE]))), "r.json")

        assert "2 to 1" in said
        assert "0 to 1" in said

    def test_a_first_reference_has_no_columns_for_before(self):
        lines = words.text(between(None, run(cell([0.5]))), "r.json").splitlines()

        assert lines[0] == "r.json, 1 cell: 1 new."
        assert "before" not in lines[2]

    def test_nothing_changed_needs_no_table(self):
        same = between(run(cell([0.5])), run(cell([0.5])))

        assert words.text(same, "r.json") == "r.json, 1 cell: 1 the same."
        assert words.markdown(same, "r.json") == "### r.json, 1 cell: 1 the same.\n"

    def test_names_are_only_names_in_markdown(self):
        made = run(cell([0.5], model=HOSTILE, explainer=HOSTILE), cell([0.5], explainer=HOSTILE))
        said = words.markdown(between(None, made), HOSTILE)

        assert "<script>" not in said
        assert "`b`" not in said.replace("\\`b\\`", "")
        rows = [line.replace("\\|", "") for line in said.splitlines() if line.startswith("|")]
        assert {row.count("|") for row in rows} == {rows[0].count("|")}
        assert len(rows) == 4

    def test_names_are_only_names_in_a_terminal(self):
        made = run(cell([0.5], explainer="a\n\x1b[31mb\u202ec", model="m"))
        (row,) = words.text(between(None, made), "r.json").splitlines()[4:]

        assert row.split()[:4] == ["new", "a", "\ufffd[31mb\ufffdc", "insertion"]

    def test_a_comment_has_room_for_it(self):
        long = "x" * 60
        many = between(None, run(*(cell([0.5], explainer=f"{long}{number}", model=long) for number in range(400))))

        assert len(words.markdown(many, "r.json")) < 65_536
        assert "200 more cells are left out." in words.markdown(many, "r.json")
        assert "360 more cells; --markdown FILE lists 200." in words.text(many, "r.json")


class TestFile:
    @pytest.fixture
    def path(self, tmp_path):
        write(run(cell([0.5, 0.6]), created="2026-01-02T00:00:00+00:00"), tmp_path / "reference.json", commit=COMMIT)
        return tmp_path / "reference.json"

    def test_what_did_not_change_is_not_written(self, path):
        """Another day and another commit alone are no reason for a diff."""
        before = path.read_bytes()
        made = updated(run(cell([0.5, 0.6]), created="2026-05-05T00:00:00+00:00", commit="f" * 40), path)

        assert made.same
        assert keep(made) == ()
        assert path.read_bytes() == before

    def test_other_packages_are_written(self, path):
        made = updated(run(cell([0.5, 0.6]), versions={"torch": "3"}), path)

        assert not made.same
        assert keep(made) == (path,)
        assert read(path).info["versions"] == {"torch": "3"}

    def test_a_copy_is_kept_for_the_history(self, path, tmp_path):
        folder = tmp_path / "history"
        first = updated(run(cell([0.5, 0.6])), path)
        assert [one.name for one in keep(first, history=folder)] == ["2026-01-02-0123456789.json"]
        assert keep(first, history=folder) == ()

        then = {"created": "2026-01-02T09:00:00+00:00", "commit": f"{COMMIT}+changes"}
        keep(updated(run(cell([0.1, 0.2]), **then), path), history=folder)
        keep(updated(run(cell([0.1, 0.3]), **then), path), history=folder)
        assert sorted(one.name for one in folder.iterdir()) == [
            "2026-01-02-0123456789-changes-2.json",
            "2026-01-02-0123456789-changes.json",
            "2026-01-02-0123456789.json",
        ]

    def test_a_reference_without_date_and_commit_has_a_name_too(self, tmp_path):
        made = updated(run(cell([0.5]), created="../../x", commit="../y"), tmp_path / "r.json")

        (copy, _) = keep(made, history=tmp_path / "history")
        assert copy.parent == tmp_path / "history"

    @pytest.mark.parametrize("cut", [0, 300])
    def test_a_damaged_reference_is_replaced_only_by_force(self, path, cut):
        path.write_bytes(path.read_bytes()[:cut])
        with pytest.raises(RunError, match="--force"):
            updated(run(cell([0.1, 0.1])), path)

        made = updated(run(cell([0.1, 0.1])), path, force=True)
        keep(made)
        assert made.changes.notes == ("The earlier reference was damaged, so nothing says what changed.",)
        assert read(path).scores["score"].tolist() == [0.1, 0.1]

    def test_what_is_no_reference_stays_even_by_force(self, tmp_path):
        foreign = tmp_path / "package.json"
        foreign.write_text(json.dumps({"name": "x"}))

        with pytest.raises(InvalidValueError, match="is no reference file, so it is not written over"):
            updated(run(cell([0.1])), foreign, force=True)

    def test_all_or_nothing_is_written(self, path, tmp_path):
        before = path.read_bytes()
        (tmp_path / "folder").mkdir()
        made = updated(run(cell([0.1, 0.1])), path)

        with pytest.raises(InvalidValueError, match="cannot be written: Is a directory"):
            keep(made, markdown=tmp_path / "folder")
        with pytest.raises(InvalidValueError, match="cannot be written: Not a directory"):
            keep(made, history=path / "history")
        assert path.read_bytes() == before
        assert sorted(one.name for one in tmp_path.iterdir()) == ["folder", "reference.json"]


class TestCommand:
    @pytest.fixture
    def files(self, tmp_path):
        write(run(cell([0.5, 0.6])), tmp_path / "old.json", commit=COMMIT)
        write(run(cell([0.4, 0.6])), tmp_path / "new.json", commit=COMMIT)

    def test_a_reference_is_made_and_renewed(self, call, files, tmp_path):
        code, out, err = call("reference", "update", "old.json", "deep/reference.json")
        assert (code, err) == (0, "written: deep/reference.json\n")
        assert out.startswith("reference.json, 1 cell: 1 new.")

        code, out, err = call("reference", "update", "new.json", "deep/reference.json", "--markdown", "pull.md")
        assert (code, err) == (0, "written: pull.md\nwritten: deep/reference.json\n")
        assert "0.05 worse" in out
        assert "0.05 worse" in (tmp_path / "pull.md").read_text()
        assert (tmp_path / "deep/reference.json").read_bytes() == (tmp_path / "new.json").read_bytes()

    def test_a_dry_run_writes_nothing(self, call, files, tmp_path):
        before = (tmp_path / "old.json").read_bytes()
        code, out, err = call(
            "reference", "update", "new.json", "old.json", "--dry-run", "--markdown", "m", "--history", "h"
        )

        assert (code, err) == (0, "not written: --dry-run\n")
        assert "1 changed (1 worse)" in out
        assert (tmp_path / "old.json").read_bytes() == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["new.json", "old.json"]

    def test_nothing_changed_is_said(self, call, files):
        code, out, err = call("reference", "update", "old.json", "old.json")

        assert (code, out) == (0, "old.json, 1 cell: 1 the same.\n")
        assert err == "nothing changed: old.json stays as it is\n"

    @pytest.mark.parametrize(
        "words",
        [
            ["red.json", "--markdown", "red.json"],
            ["red.json", "--markdown", "new.json"],
            ["red.json", "--markdown", "run/run.json"],
            ["red.json", "--history", "run/scores"],
            ["run/mine.json"],
        ],
    )
    def test_nothing_is_written_over_what_is_read_or_into_a_run(self, call, files, tmp_path, words):
        (tmp_path / "run/scores").mkdir(parents=True)
        (tmp_path / "run/run.json").write_text("{}")
        (tmp_path / "red.json").write_bytes((tmp_path / "new.json").read_bytes())
        before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
        code, out, err = call("reference", "update", "new.json", *words)

        assert (code, out) == (2, "")
        assert "would write over" in err or "lies in the run folder" in err
        assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before

    @pytest.mark.parametrize(
        ("target", "sentence"),
        [
            (".", "REFERENCE '.' is a folder; name a file"),
            ("notes.md", "'notes.md' is no reference file, so it is not written over; choose another name"),
            ("cut.json", "reference 'cut.json' is cut off or damaged"),
        ],
    )
    def test_bad_input_is_one_sentence(self, call, files, tmp_path, target, sentence):
        (tmp_path / "notes.md").write_text("mine")
        (tmp_path / "cut.json").write_bytes((tmp_path / "old.json").read_bytes()[:300])
        code, out, err = call("reference", "update", "new.json", target)

        assert (code, out) == (2, "")
        assert sentence in err
        assert len(err.strip().splitlines()) == 1
        assert (tmp_path / "notes.md").read_text() == "mine"
