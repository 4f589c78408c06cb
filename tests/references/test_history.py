"""Scores over time: of a folder of references, of a file in git, as a table, words, figures and a page."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from repository import Repository
from scored_runs import cell, run, set_cell

from xai_bench.errors import InvalidValueError, RunError, UnknownNameError
from xai_bench.references import history, write
from xai_bench.references.history import of_file, of_folder
from xai_bench.reports import history as told
from xai_bench.reports import timeline
from xai_bench.stats import summary

HOLE = float("nan")
HOSTILE = "../a | `b` <script>alert(1)</script> $z$"
COMMITS = [digit * 40 for digit in "0123456789abcdef"]


def keep(folder, *runs, names=None):
    """One reference per run, a day apart."""
    folder.mkdir(exist_ok=True)
    for day, made in enumerate(runs):
        created = {"created": f"2026-01-{day + 1:02}T00:00:00+00:00"} | dict(made.info)
        dated = type(made)(made.scores, made.curves, made.cards, made.explainers, created)
        write(dated, folder / (names[day] if names else f"{day:03}.json"), commit=COMMITS[day % 16])
    return folder


def made(score, **changed):
    return run(cell([score, score + 0.1, score + 0.2], **changed))


def texts(found, name):
    return found.table[name].tolist()


class TestFolder:
    def test_every_cell_of_every_reference_in_order(self, tmp_path):
        """The mean of 0.4, 0.5, 0.6 is 0.5, by hand; the interval is that of the report."""
        runs = [made(0.4), made(0.2)]
        found = of_folder(keep(tmp_path / "h", *runs))

        assert list(found.table.columns) == history.COLUMNS
        assert found.table["mean"].tolist() == pytest.approx([0.5, 0.3])
        assert texts(found, "commit") == COMMITS[:2]
        assert texts(found, "n") == [3, 3]
        there = pd.concat([summary(one) for one in runs], ignore_index=True)
        np.testing.assert_allclose(found.table[["low", "high"]].astype(float), there[["low", "high"]].astype(float))

    def test_dates_order_them_and_names_what_has_one_date(self, tmp_path):
        folder = keep(tmp_path / "h", made(0.1), made(0.2), names=["z.json", "a.json"])
        same = run(cell([0.3]), created="2026-01-02T02:00:00+02:00")  # midnight of the second, in another zone
        keep(folder, same, names=["b.json"])
        keep(folder, run(cell([0.4]), created="yesterday"), names=["y.json"])

        assert of_folder(folder).references["file"].tolist() == ["y.json", "z.json", "a.json", "b.json"]

    def test_other_files_are_left_out_with_a_word(self, tmp_path):
        folder = keep(tmp_path / "h", made(0.4))
        (folder / "package.json").write_text('{"name": 1}')
        (folder / "README.md").write_text("mine")
        (folder / ".hidden.json").write_text("")
        (folder / "deeper.json").mkdir()

        assert of_folder(folder).notes == ("package.json is no reference file.",)

    @pytest.mark.parametrize("size", [0, 300])
    def test_a_damaged_reference_is_refused_by_name(self, tmp_path, size):
        folder = keep(tmp_path / "h", made(0.4), made(0.4))
        (folder / "001.json").write_bytes((folder / "001.json").read_bytes()[:size])

        with pytest.raises(RunError, match=r"001\.json' is (empty|cut off)"):
            of_folder(folder)

    def test_no_reference_is_refused(self, tmp_path):
        with pytest.raises(RunError, match="holds no reference file"):
            of_folder(tmp_path)
        (tmp_path / "x.json").write_text("{}")
        with pytest.raises(RunError, match="holds 1 JSON file, none of them a reference"):
            of_folder(tmp_path)
        with pytest.raises(InvalidValueError, match="is no folder"):
            of_folder(tmp_path / "x.json")

    def test_cells_come_and_go(self, tmp_path):
        other = cell([0.7, 0.8], explainer="gradcam")
        parts = [run(cell([0.4])), run(cell([0.4]), other), run(other)]
        found = of_folder(keep(tmp_path / "h", *parts))

        assert list(zip(found.table["number"], found.table["explainer"], strict=True)) == [
            (1, "ig"),
            (2, "ig"),
            (2, "gradcam"),
            (3, "gradcam"),
        ]

    def test_metrics_are_chosen_by_name(self, tmp_path):
        both = run(cell([0.4]), cell([0.4], metric="deletion"))
        found = of_folder(keep(tmp_path / "h", both, made(0.3)))

        chosen = found.only(["deletion"])
        assert texts(chosen, "metric") == ["deletion"]
        assert len(chosen.references) == 2
        with pytest.raises(UnknownNameError, match="did you mean 'deletion'"):
            found.only(["deltion"])


class TestBreaks:
    @pytest.mark.parametrize(
        ("told_of", "why"),
        [
            ({"version": 2}, "metric version 2 (was 1)"),
            ({"spec": "x=1;steps=56"}, "steps=56 (was steps=28)"),
            ({"fingerprints": "model=aa data=cc"}, "other images"),
        ],
        ids=["version", "spec", "images"],
    )
    def test_what_cannot_be_compared(self, tmp_path, told_of, why):
        found = of_folder(keep(tmp_path / "h", made(0.4), made(0.4, **told_of), made(0.4, **told_of)))

        assert texts(found, "broken") == ["", why, ""]
        assert set(texts(found, "changed")) == {""}

    def test_what_else_may_explain_a_change(self, tmp_path):
        new = {"seed": 3, "explainer_spec": "ig(steps=9)", "fingerprints": "model=zz data=bb", "precision": "bf16"}
        runs = [made(0.4), run(cell([0.4], **new), versions={"torch": "2.15"})]
        runs[0] = run(cell([0.4]), versions={"torch": "2.14"})
        found = of_folder(keep(tmp_path / "h", *runs))

        assert set(texts(found, "broken")) == {""}
        assert texts(found, "changed")[1] == (
            "other weights, layers or preprocessing; explainer ig(steps=9) (was ig()); seed 3 (was 0); "
            "precision bf16 (was fp32); torch 2.15 (was 2.14)"
        )

    def test_a_cell_that_was_away_is_held_against_when_it_was_last_seen(self, tmp_path):
        other = made(0.4, explainer="gradcam")
        found = of_folder(keep(tmp_path / "h", made(0.4), other, made(0.4, version=2)))

        assert texts(found, "broken") == ["", "", "metric version 2 (was 1)"]


class TestGit:
    @pytest.fixture
    def repository(self, tmp_path):
        return Repository(tmp_path / "code")

    def put(self, repository, score, name="reference.json"):
        write(made(score), repository.folder / name, commit="")
        return repository.commit()

    def test_versions_have_the_commit_and_date_of_the_history(self, repository):
        commits = [self.put(repository, score) for score in (0.4, 0.3)]
        (repository.folder / "code.py").write_text("1")
        repository.commit()
        found = of_file(repository.folder / "reference.json")

        assert texts(found, "commit") == commits
        assert [one[:10] for one in texts(found, "created")] == ["2026-01-01", "2026-01-02"]
        assert found.table["mean"].tolist() == pytest.approx([0.5, 0.4])
        assert found.notes == ()

    def test_a_renamed_file_keeps_its_history(self, repository):
        self.put(repository, 0.4, "old.json")
        repository.git("mv", "old.json", "reference.json")
        repository.commit()
        self.put(repository, 0.3)

        assert texts(of_file(repository.folder / "reference.json"), "file") == ["old.json", "reference.json"]

    def test_a_merge_is_when_the_branch_got_the_version(self, repository):
        self.put(repository, 0.4)
        repository.git("checkout", "-q", "-b", "side")
        self.put(repository, 0.3)
        repository.git("checkout", "-q", "main")
        repository.commit("elsewhere")
        repository.git("merge", "-q", "--no-ff", "--message=merged", "side")

        found = of_file(repository.folder / "reference.json")
        assert found.references["commit"].iloc[-1] == repository.git("rev-parse", "HEAD")
        assert len(found.references) == 2

    def test_a_deleted_file_comes_back(self, repository):
        self.put(repository, 0.4)
        repository.git("rm", "-q", "reference.json")
        repository.commit()
        self.put(repository, 0.3)

        assert len(of_file(repository.folder / "reference.json").references) == 2

    def test_a_version_that_nobody_can_mend_is_left_out(self, repository):
        self.put(repository, 0.4)
        path = repository.folder / "reference.json"
        whole = path.read_bytes()
        path.write_bytes(whole[:300])
        broken = repository.commit()
        path.write_bytes(whole)
        repository.commit()

        found = of_file(path)
        assert len(found.references) == 2
        (note,) = found.notes
        assert note.startswith(f"The version of {broken[:10]} is left out: reference '{broken[:10]}:reference.json' is")

    def test_what_is_not_committed_is_said(self, repository):
        self.put(repository, 0.4)
        write(made(0.1), repository.folder / "reference.json", commit="")

        found = of_file(repository.folder / "reference.json")
        assert found.notes == ("reference.json has changes that are not committed; they are not part of this history.",)

    def test_a_shallow_clone_is_said(self, repository, tmp_path):
        for score in (0.4, 0.3):
            self.put(repository, score)
        repository.git("clone", "-q", "--depth=1", f"file://{repository.folder}", str(tmp_path / "shallow"))

        found = of_file(tmp_path / "shallow/reference.json")
        assert len(found.references) == 1
        assert "clone is shallow" in found.notes[0]

    def test_signs_in_a_name_are_only_signs(self, repository):
        name = ":(exclude)r *[x] é.json"
        self.put(repository, 0.4, name)

        assert texts(of_file(repository.folder / name), "file") == [name]

    def test_refusals_name_what_is_missing(self, repository, tmp_path, monkeypatch):
        write(made(0.4), tmp_path / "alone.json", commit="")
        with pytest.raises(RunError, match=r"git has no history to tell in .*not a git repository"):
            of_file(tmp_path / "alone.json")
        with pytest.raises(RunError, match=r"there is no folder '.*nowhere'"):
            of_file(tmp_path / "nowhere/reference.json")
        (repository.folder / "notes.md").write_text("1")
        repository.commit()
        with pytest.raises(RunError, match=r"no version of '.*notes\.md' in git is a reference file"):
            of_file(repository.folder / "notes.md")
        with pytest.raises(RunError, match="no commit has the file"):
            of_file(repository.folder / "reference.json")
        monkeypatch.setenv("PATH", "")
        with pytest.raises(RunError, match="there is no git on this machine"):
            of_file(repository.folder / "reference.json")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Insertion falls and breaks, deletion is undefined once and away once, a set metric is one number."""
    row, points = set_cell(np.eye(3), 0.5)
    parts = [
        run(cell([0.5, 0.6, 0.7]), cell([0.2, 0.3, 0.4], metric="deletion"), row, curves=[points]),
        run(cell([0.4, 0.5, HOLE]), cell([HOLE] * 3, metric="deletion"), row, curves=[points]),
        run(cell([0.3, 0.4, 0.5], explainer="gradcam"), cell([0.1, 0.2, 0.4]), row, curves=[points]),
        run(cell([0.9, 0.8, 0.7], version=2), cell([0.1, 0.2, 0.3], metric="deletion"), row, curves=[points]),
    ]
    return of_folder(keep(tmp_path_factory.mktemp("history") / "h", *parts))


@pytest.fixture(scope="module")
def page(found, tmp_path_factory):
    return told.write(found, tmp_path_factory.mktemp("written") / "out")


class TestWords:
    def test_the_lead_counts(self, found):
        assert told.lead(found) == (
            "4 references from 2026-01-01 to 2026-01-04: 3 metrics, 1 model and 2 explainers; 1 break."
        )

    def test_one_day_is_said_once_and_none_not_at_all(self, tmp_path):
        dated = run(cell([0.5]), created="2026-05-05T01:00:00+00:00")
        assert told.lead(of_folder(keep(tmp_path / "h", dated, dated))).startswith("2 references of 2026-05-05: ")

        undated = run(cell([0.5]), created="")
        assert told.lead(of_folder(keep(tmp_path / "n", undated))).startswith("1 reference: 1 metric")

    def test_a_sentence_says_what_moved_most_since_the_last_break(self, found):
        deletion, kar = told.sentences(found)  # insertion has one point since its break

        assert deletion.startswith("deletion ↓: ig moved most, from 0.30 [")
        assert deletion.endswith("on 2026-01-04 (3333333333), which is better.")
        assert kar == "kar ↑: the same in every reference since 2026-01-01 (0000000000)."

    @pytest.mark.parametrize(
        ("means", "sentence"),
        [
            ([0.5, 0.5, 0.5], "the same in every reference since 2026-01-01 (0000000000)."),
            ([0.5, HOLE, 0.5], "the same wherever it is defined, since 2026-01-01 (0000000000)."),
            ([0.5, 0.2, 0.9, 0.5], "ig moved most and is back at 0.500, after 0.900 on 2026-01-03 (2222222222)."),
            ([0.5, 0.1, 0.8, 0.5], "ig moved most and is back at 0.500, after 0.100 on 2026-01-02 (1111111111)."),
            (
                [0.5, 0.1, 0.6],
                (
                    "ig moved most, from 0.500 on 2026-01-01 (0000000000) to 0.600 on 2026-01-03 (2222222222), which "
                    "is better; ig was at 0.100 on 2026-01-02 (1111111111) in between."
                ),
            ),
            (
                [0.5, 0.55, 0.4],
                (
                    "ig moved most, from 0.500 on 2026-01-01 (0000000000) to 0.400 on 2026-01-03 (2222222222), which "
                    "is worse."
                ),
            ),
        ],
        ids=["same", "hole", "back from above", "back from below", "farther in between", "little in between"],
    )
    def test_what_came_back_is_not_called_the_same(self, tmp_path, means, sentence):
        """One image, so that its score is the mean and there is no interval."""
        assert told.sentences(of_folder(keep(tmp_path / "h", *(run(cell([mean])) for mean in means)))) == (
            f"insertion ↑: {sentence}",
        )

    def test_the_largest_excursion_of_all_explainers_is_told(self, tmp_path):
        pairs = [(0.5, 0.5), (0.4, 0.9), (0.5, 0.5)]
        runs = [run(cell([one]), cell([other], explainer="gradcam")) for one, other in pairs]

        (said,) = told.sentences(of_folder(keep(tmp_path / "h", *runs)))
        assert (
            said == "insertion ↑: gradcam moved most of 2 and is back at 0.500, after 0.900 on 2026-01-02 (1111111111)."
        )

    def test_a_copy_made_before_the_commit_says_so(self, tmp_path):
        folder = keep(tmp_path / "h", made(0.4))
        assert "+" not in told.text(of_folder(folder))
        write(run(cell([0.4]), created="2026-01-02"), folder / "b.json", commit=f"{'ab' * 20}+changes")
        found = of_folder(folder)

        said = told.text(found)
        assert "ababababab+  " in said
        assert "(--git FILE) names the commit that has them" in said
        (ax,) = timeline.figure(found).get_axes()
        assert [label.get_text() for label in ax.get_xticklabels()] == ["2026-01-01\n0000000", "2026-01-02\nabababa+"]

    @pytest.mark.parametrize(
        ("created", "shown"),
        [
            (["2026-01-05T09:00:10+00:00", "2026-01-06T09:00:20+00:00"], ["2026-01-05", "2026-01-06"]),
            (
                ["2026-01-04T23:30:00-02:00", "2026-01-05T09:05:10", "2026-01-06T01:00:00+00:00"],
                ["2026-01-05 01:30", "2026-01-05 09:05", "2026-01-06"],
            ),
            (
                ["2026-01-05T09:00:10+00:00", "2026-01-05T09:00:20+00:00"],
                ["2026-01-05 09:00:10", "2026-01-05 09:00:20"],
            ),
            (["2026-01-05T09:00:10+00:00"] * 2, ["2026-01-05"] * 2),
            (["", "yesterday", "0001-01-01T00:00:00+09:00"], ["", "yesterday", "0001-01-01"]),
        ],
        ids=["days", "minutes", "seconds", "one moment", "no dates"],
    )
    def test_a_date_has_a_time_where_others_are_of_that_day(self, tmp_path, created, shown):
        runs = [run(cell([0.5]), created=one) for one in created]
        found = of_folder(keep(tmp_path / "h", *runs))

        assert list(found.dates.values()) == shown
        assert ("Times are UTC." in told.text(found)) == (":" in "".join(shown))

    def test_a_table_for_the_terminal(self, found):
        lines = told.text(found.only(["insertion"])).splitlines()

        assert lines[2] == "insertion ↑"
        assert lines[3].split() == ["reference", "commit", "what", "is", "new", "ig", "gradcam"]
        assert [line.split("  ")[0] for line in lines[5:9]] == [f"2026-01-0{day}" for day in (1, 2, 3, 4)]
        assert "(1 undefined)" in lines[6]
        assert "break: metric version 2 (was 1)" in lines[8]

    def test_nothing_defined_is_called_so(self, found):
        assert re.search(r"2026-01-02 .* undefined$", told.text(found.only(["deletion"])), re.MULTILINE)

    def test_only_the_last_references_are_printed(self, tmp_path, monkeypatch):
        monkeypatch.setattr(told, "LAST", 2)
        said = told.text(of_folder(keep(tmp_path / "h", *(made(score) for score in (0.1, 0.2, 0.3)))))

        assert "Earlier references that are not shown: 1; --out and --json hold all." in said
        assert ("2026-01-01  " in said, "2026-01-02  " in said) == (False, True)

    def test_machines_get_numbers_and_nulls(self, found):
        table = json.loads(json.dumps(told.records(found), allow_nan=False))

        assert len(table["scores"]) == len(found.table)
        assert [one["commit"] for one in table["references"]] == COMMITS[:4]
        assert [row["mean"] for row in table["scores"] if row["metric"] == "deletion"] == [
            pytest.approx(0.3), None, pytest.approx(0.2),
        ]  # fmt: skip


class TestFigures:
    def lines(self, found, metric):
        figure = timeline.figure(found.only([metric]))
        (ax,) = figure.get_axes()
        return ax, [line for line in ax.get_lines() if line.get_marker() not in ("None", "", None)]

    def test_a_point_per_reference_and_a_gap_where_there_is_none(self, found):
        ax, (line,) = self.lines(found, "deletion")

        np.testing.assert_allclose(line.get_xdata(), [1, 2, 3, 4])
        np.testing.assert_allclose(line.get_ydata(), [0.3, HOLE, HOLE, 0.2])
        assert ax.get_xticklabels()[0].get_text() == "2026-01-01\n0000000"
        assert ax.get_title(loc="left").endswith("deletion ↓")

    def test_a_break_ends_a_line_and_has_a_word(self, found):
        ax, pieces = self.lines(found, "insertion")

        assert sorted(len(piece.get_xdata()) for piece in pieces) == [1, 1, 3]
        assert [note.get_text() for note in ax.texts] == ["metric version 2"]
        assert 3.5 in [line.get_xdata()[0] for line in ax.get_lines()]

    def test_points_of_one_reference_stand_close(self, tmp_path):
        """Side by side within a tenth of the way to the next reference, and in the middle over its name."""
        both = run(cell([0.5, 0.6]), cell([0.4, 0.5], explainer="gradcam"))
        _, drawn = self.lines(of_folder(keep(tmp_path / "h", both, both)), "insertion")

        left, right = (line.get_xdata() for line in drawn)
        assert (right - left > 0).all()
        assert (right - left < 0.1).all()
        np.testing.assert_allclose((left + right) / 2, [1, 2])

    def test_nothing_defined_is_no_figure(self, tmp_path):
        hole = of_folder(keep(tmp_path / "h", run(cell([HOLE, HOLE]))))

        assert timeline.figure(hole) is None
        assert told.write(hole, tmp_path / "out").exists()

    def test_two_hundred_references_are_bands_with_few_names(self, found):
        days = range(1, 201)
        first = found.table[found.table["number"] == 1]
        table = pd.concat([first.assign(number=day) for day in days if day not in (2, 199)])
        places = pd.concat([found.references.iloc[:1].assign(number=day) for day in days], ignore_index=True)
        long = history.History(table[table["metric"] == "deletion"], places, found.kinds, ())
        (ax,) = timeline.figure(long).get_axes()

        band, lone, line = ax.collections[0], *ax.get_lines()
        assert lone.get_xdata().tolist() == [1, 200]
        assert (len(band.get_paths()), len(line.get_xdata())) == (3, 200)  # pieces; points, some of them nan
        assert ax.get_xticks().tolist() == list(range(10, 201, 19))


class TestFiles:
    def test_all_files_are_there_and_nothing_else(self, page):
        names = {path.relative_to(page.parent).as_posix() for path in page.parent.rglob("*") if path.is_file()}

        figures = {
            f"figures/history-{metric}.{form}"
            for metric in ("insertion", "deletion", "kar")
            for form in ("pdf", "svg", "png")
        }
        assert names == figures | {"tables/history.csv", "tables/history.md", "index.html"}

    def test_the_table_holds_every_digit(self, page, found):
        table = pd.read_csv(page.parent / "tables/history.csv", dtype={"commit": str})

        np.testing.assert_allclose(table["mean"], found.table["mean"].astype(float))
        assert table["commit"].tolist() == texts(found, "commit")

    def test_the_page_says_it_all(self, page, found):
        text = page.read_text("utf-8")

        for part in (told.lead(found), *told.sentences(found), "break: metric version 2 (was 1)", "2026-01-03"):
            assert part in text
        assert text.count("data:image/svg+xml;base64") == 3
        assert "http" not in re.sub(r"http://www.w3.org\S+|http-equiv", "", text)

    def test_a_second_page_leaves_no_stale_figure(self, page, found, tmp_path):
        out = told.write(found.only(["deletion"]), told.write(found.only(["insertion"]), tmp_path / "out").parent)

        assert {path.stem for path in (out.parent / "figures").iterdir()} == {"history-deletion"}

    def test_names_are_escaped_and_files_have_safe_ones(self, tmp_path):
        hostile = run(
            cell([0.5, 0.6], metric=HOSTILE, explainer=HOSTILE, model=HOSTILE, data=HOSTILE),
            cell([0.5, 0.6], metric=HOSTILE.upper()),
        )
        out = told.write(of_folder(keep(tmp_path / "h", hostile, hostile)), tmp_path / "out").parent

        assert "<script>alert(1)" not in (out / "index.html").read_text("utf-8")
        assert "<script>" not in (out / "tables/history.md").read_text("utf-8")
        names = {path.stem for path in (out / "figures").iterdir()}
        assert names == {"history-a-b-script-alert-1-script-z", "history-A-B-SCRIPT-ALERT-1-SCRIPT-Z-2"}


class TestCommand:
    def test_a_folder_in_the_terminal_and_on_a_page(self, call, tmp_path):
        keep(tmp_path / "h", made(0.4), made(0.3))
        (tmp_path / "h/other.json").write_text("{}")
        code, out, err = call("reference", "history", "h", "--out", "page")

        assert code == 0, err
        assert "insertion ↑: ig moved most, from 0.50" in out
        assert err == "other.json is no reference file.\n\nwritten: page/index.html\n"

    def test_a_file_in_git_for_machines(self, call, tmp_path):
        repository = Repository(tmp_path)
        write(made(0.4), tmp_path / "r.json", commit="")
        head = repository.commit()
        code, out, _ = call("reference", "history", "--git", "r.json", "--json", "--metric", "insertion")

        assert code == 0
        assert [one["commit"] for one in json.loads(out)["references"]] == [head]

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            ([], "a history is that of a FOLDER of reference files, or of one file in git (--git FILE)"),
            (["h", "--git", "h/000.json"], "a history is that of a FOLDER"),
            (["nowhere"], "'nowhere' is no folder"),
            (["h", "--metric", "insrtion"], "unknown metric of this history 'insrtion'; did you mean 'insertion'?"),
            (["h", "--out", "h/000.json"], "--out 'h/000.json' cannot be written: Not a directory"),
        ],
        ids=["nothing", "both", "nowhere", "metric", "out"],
    )
    def test_bad_input_is_one_sentence(self, call, tmp_path, words, sentence):
        keep(tmp_path / "h", made(0.4))
        code, out, err = call("reference", "history", *words)

        assert (code, out) == (2, "")
        assert sentence in err
        assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_names_are_said_so_that_no_terminal_and_no_service_obeys_them(call, tmp_path, words):
    name = "x\n::error::boo\x1b[31m\u202e"
    keep(tmp_path / "h", *(run(cell([s, s + 0.1], metric=name, explainer=name, model=name)) for s in (0.1, 0.2)))
    code, out, err = call("reference", "history", "h", *words)

    assert code == 0
    assert not {"\x1b", "\u202e"} & set(out + err)
    assert [line for line in (out + err).splitlines() if line.startswith("::error")] == []


def test_a_history_is_not_written_into_a_run(call, tmp_path):
    keep(tmp_path / "h", made(0.4))
    (tmp_path / "run/scores").mkdir(parents=True)
    (tmp_path / "run/run.json").touch()
    code, _, err = call("reference", "history", "h", "--out", "run/scores/x")

    assert code == 2
    assert "--out 'run/scores/x' lies in the run folder" in err
    assert list((tmp_path / "run/scores").iterdir()) == []
