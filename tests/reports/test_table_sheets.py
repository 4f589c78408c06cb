"""What the sheets say, against the statistics they are read from."""

import dataclasses
import math

import pandas as pd
import pytest
from synthetic_run import SPEC, make_run, score_row

from xai_bench.digits import decimals, ranged
from xai_bench.reports import tables
from xai_bench.reports.analysis import analyse
from xai_bench.reports.tables.sheet import Cell, Column, Grid, Row, parts
from xai_bench.runs.run import SCORE_COLUMNS
from xai_bench.stats import CELL


@pytest.fixture(scope="module")
def analysis():
    return analyse(make_run(40, datas=("planted/test",), panels=0))


@pytest.fixture(scope="module")
def sheets(analysis):
    return {name: make(analysis) for name, make in zip(tables.NAMES, tables.SHEETS, strict=True)}


def lines(grid):
    """The rows of a grid as {head: cell}."""
    heads = [column.head for column in grid.columns]
    return [dict(zip(heads, row.cells, strict=True)) for row in grid.rows]


def run_of(scores, **facts):
    rows = [
        score_row("d", model, explainer, "insertion", f"i{image}", value)
        for (model, explainer), values in scores.items()
        for image, value in enumerate(values)
    ]
    return dataclasses.replace(make_run(1), scores=pd.DataFrame(rows, columns=list(SCORE_COLUMNS)), **facts)


@pytest.mark.parametrize(
    ("low", "high", "digits"),
    [(0.38, 0.45, 3), (0.3, 0.9, 2), (10.0, 50.0, 0), (0.0, 0.0, 3), (0.0, 1e-9, 6)],
)
def test_two_significant_digits_of_the_half_width_are_kept(low, high, digits):
    assert decimals(low, high) == digits


def test_a_number_is_printed_with_its_interval_and_sign():
    assert ranged(0.0131, 0.0042, 0.0223, signed=True) == "+0.0131 [0.0042, 0.0223]"
    assert ranged(0.5, float("nan"), float("nan")) == "0.500"
    assert ranged(3.14e-9, 2.5e-9, 4.1e-9) == "3.1e-09 [2.5e-09, 4.1e-09]"
    assert ranged(0.0, 0.0, 0.0) == "0.000 [0.000, 0.000]"
    assert ranged(-0.0, -0.0, -0.0) == "0.000 [0.000, 0.000]"
    assert ranged(-0.0001, -0.1, 0.1, signed=True) == "+0.00 [-0.10, 0.10]"


def test_the_names_of_tables_are_those_of_their_makers():
    assert tuple(make.__name__ for make in tables.SHEETS) == tables.NAMES


def test_superscripts_name_exactly_the_rows_that_the_test_shows_to_be_worse(analysis, sheets):
    pairs = analysis.explainers
    for row in lines(sheets["scores"].grids[1]):
        group = {
            line[""].text: line["explainer"].text.split(" ")[0]
            for line in lines(sheets["scores"].grids[1])
            if line["model"] == row["model"]
        }
        me = row["explainer"].text.split(" ")[0]
        here = pairs[(pairs["metric"] == "deletion") & (pairs["fixed"] == row["model"].text)]
        worse = {*here[(here["a"] == me) & (here["better"] == "a")]["b"]}
        worse |= {*here[(here["b"] == me) & (here["better"] == "b")]["a"]}
        assert {group[letter] for letter in row["deletion ↓"].beats} == worse
    assert any(line["deletion ↓"].beats for line in lines(sheets["scores"].grids[1]))


def test_bold_is_what_the_test_leaves_not_the_best_mean(analysis, sheets):
    summary = analysis.summary.set_index(["metric", "model", "explainer"])["top"]
    for row in lines(sheets["leaderboard"].grids[1]):
        key = (row["metric"].text.split(" ")[0], row["model"].text, row["explainer"].text.split(" ")[0])
        assert row["mean [95 %]"].top == summary[key]


def test_the_leaderboard_is_ordered_by_the_mean_in_the_direction_of_the_metric(sheets):
    rows = [row for row in lines(sheets["leaderboard"].grids[1]) if row["model"].text == "ersm"]
    for metric, sign in (("deletion ↓", 1), ("insertion ↑", -1), ("pointing_game ↑", -1)):
        means = [sign * row["mean [95 %]"].sort for row in rows if row["metric"].text == metric]
        assert means == sorted(means)
        assert len(means) == 4


def test_the_leaderboard_gives_the_ranks_that_the_tests_leave_open(sheets):
    rows = lines(sheets["leaderboard"].grids[1])
    found = [row["rank"].text for row in rows if (row["metric"].text, row["model"].text) == ("deletion ↓", "ersm")]

    assert found == ["1", "2", "3", "4"]  # energy, gradcam, centre, random: their skills are 0.8, 0.6, 0.1, 0.0


def test_two_of_a_kind_cannot_be_told_apart_so_nothing_is_marked():
    run = run_of({("m", "ig"): [0.1, 0.9, 0.2, 0.8] * 5, ("m", "random"): [0.9, 0.1, 0.8, 0.2] * 5})
    rows = lines(tables.SHEETS[0](analyse(run)).grids[0])

    assert [row["rank"].text for row in rows] == ["1-2", "1-2"]
    assert not any(row["mean [95 %]"].top or row["mean [95 %]"].beats for row in rows)


def test_controls_are_in_every_table_and_marked(sheets):
    for name in ("leaderboard", "scores", "readings"):
        rows = [row for grid in sheets[name].grids for row in grid.rows]
        marked = {cell.text for row in rows for cell in row.cells if "(control)" in cell.text}
        assert marked == {"random (control)", "centre (control)"}
        assert {row.kind for row in rows if any("(control)" in cell.text for cell in row.cells)} == {"control"}
    assert "random (control)" in {row["b"].text for row in lines(sheets["differences"].grids[0])}


def test_captions_state_test_level_correction_and_letters(sheets):
    for name in ("leaderboard", "scores"):
        for part in ("Wilcoxon", "5 %", "Holm", "letter", "Bold", "[95 % interval]", "Arrows", "Undefined"):
            assert part in sheets[name].caption


def test_metrics_of_a_whole_set_are_said_to_be_untested(sheets):
    assert "without a paired test: class_entropy." in sheets["scores"].caption


def test_specs_are_footnotes(sheets):
    column = next(column for column in sheets["scores"].grids[1].columns if column.head == "deletion ↓")

    assert [sheets["scores"].notes[number - 1] for number in column.notes] == [f"deletion v1: {SPEC}"]


def test_an_explainer_that_a_model_lacks_leaves_no_row(sheets):
    rows = [(row["model"].text, row["explainer"].text) for row in lines(sheets["scores"].grids[1])]

    assert ("ersm", "energy (intrinsic)") in rows
    assert ("plain", "energy (intrinsic)") not in rows


def test_undefined_scores_are_counted_by_reason(sheets):
    rows = lines(sheets["undefined"].grids[0])
    found = {
        (r["metric"].text, r["model"].text, r["explainer"].text): (r["reason"].text, r["undefined"].text, r["of"].text)
        for r in rows
    }

    assert found["deletion ↓", "plain", "gradcam"] == ("map is constant", "2", "40")  # images 7 and 27
    assert found["pointing_game ↑", "ersm", "energy (intrinsic)"] == ("no region", "1", "40")  # image 11
    assert len(found) == 2 * 2 + 7


def test_every_table_of_scores_counts_the_undefined(sheets):
    gradcam = next(row for row in lines(sheets["scores"].grids[1]) if row["explainer"].text == "gradcam")
    leader = next(row for row in lines(sheets["leaderboard"].grids[1]) if row["explainer"].text == "gradcam")
    compared = next(row for row in lines(sheets["differences"].grids[0]) if row["a"].text == "gradcam")
    reading = next(row for row in lines(sheets["readings"].grids[0]) if row["explainer"].text == "gradcam")

    assert gradcam["deletion ↓"].aside == ("2 undefined",)
    assert [row["undefined"].text for row in (leader, compared, reading)] == ["2", "2", "2"]


def test_a_cell_with_another_number_of_images_says_so():
    run = run_of({("m", "ig"): [0.1, 0.9, 0.5], ("m", "gradcam"): [0.2, 0.8, 0.4], ("m", "random"): [0.5, 0.2]})
    rows = lines(tables.SHEETS[1](analyse(run)).grids[0])

    assert [row["insertion ↑"].aside for row in rows] == [(), (), ("n = 2",)]


def test_differences_state_what_was_found(analysis, sheets):
    for row in lines(sheets["differences"].grids[0]):
        assert row["better"].text in (*analysis.run.explainers, "plain", "ersm", "undecided", "without a test")
        assert (row["better"].text in ("undecided", "without a test")) or row["p (Holm)"].sort < 0.05
    assert len(sheets["differences"].grids[0].rows) == len(analysis.models) + len(analysis.explainers)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"effect": 0.9, "p_holm": 0.01, "low": 0.1, "high": 0.3, "difference": 0.2}, "no direction"),
        ({"effect": -0.9, "p_holm": 0.01, "low": 0.1, "high": 0.3, "difference": 0.2}, "undecided"),
        ({"effect": 0.0, "p_holm": 1.0, "low": 0.0, "high": 0.0, "difference": 0.0}, "equal"),
        ({"p_holm": math.nan}, "without a test"),
        ({"difference": math.nan}, "undefined"),
    ],
    ids=["open", "disagree", "equal", "set", "undefined"],
)
def test_what_has_no_winner_is_called_what_its_sentence_calls_it(analysis, facts, said):
    changed = analyse(analysis.run)
    changed.__dict__["models"] = analysis.models.iloc[:0]
    changed.__dict__["explainers"] = analysis.explainers.iloc[:1].assign(better="", **facts)

    assert [row["better"].text for row in lines(tables.SHEETS[2](changed).grids[0])] == [said]


def test_aggregates_are_those_of_the_statistics_with_the_chance_against_random(analysis, sheets):
    middles = analysis.aggregates.set_index(["metric", "explainer"])
    chance = {}
    for row in analysis.improvement.to_dict("records"):
        if row["b"] == "random":
            chance[row["metric"], row["a"]] = row["probability"]
        if row["a"] == "random":
            chance[row["metric"], row["b"]] = 1 - row["probability"]
    rows = lines(sheets["aggregates"].grids[0])
    for row in rows:
        key = row["metric"].text.split(" ")[0], row["explainer"].text.split(" ")[0]
        middle = middles.loc[key, "iqm"]
        assert row["IQM [95 %]"].sort == ("" if math.isnan(middle) else middle)
        assert row["better than random [95 %]"].sort == (chance[key] if key[1] != "random" else "")
    assert len(rows) == len(analysis.aggregates)
    assert any(value > 0.9 for value in chance.values())


def test_effect_and_needed_images_stand_where_the_statistics_have_them(analysis):
    richer = analyse(analysis.run)
    pairs = analysis.explainers[
        (analysis.explainers["metric"] == "deletion") & (analysis.explainers["fixed"] == "plain")
    ]
    richer.__dict__["explainers"] = pairs.assign(effect=-0.5, needed=[math.nan, 31.0, 310.0], better="", p_holm=0.2)
    rows = [row for row in lines(tables.SHEETS[2](richer).grids[0]) if row["within"].text == "plain"]

    assert {row["effect"].text for row in rows} == {"-0.50"}
    assert [row["needed, before Holm"].text for row in rows] == ["", "", "310"]  # n = 40 is more than 31


def test_anchored_scores_stand_beside_the_raw_ones_never_instead(analysis, sheets):
    anchored = {tuple(row): value for *row, value in analysis.anchored[[*CELL, "anchored"]].itertuples(index=False)}
    for name in ("leaderboard", "readings"):
        rows = lines(sheets[name].grids[-1])
        for row in rows:
            explainer, metric = row["explainer"].text.split(" ")[0], row["metric"].text.split(" ")[0]
            value = anchored["planted/test", row["model"].text, explainer, metric]
            raw = row["mean [95 %]" if name == "leaderboard" else "raw [95 %]"]
            assert raw.sort == mean_of(analysis, row["model"].text, explainer, metric)
            assert row["anchored [95 %]"].sort == value
        assert {row["anchored [95 %]"].sort for row in rows if row["explainer"].text == "random (control)"} == {0.0}


def mean_of(analysis, *place):
    return analysis.summary.set_index(["model", "explainer", "metric"])["mean"][place]


def test_without_anchors_there_is_no_such_column_and_the_csv_holds_all_readings(analysis, sheets):
    poorer = analyse(analysis.run)
    poorer.__dict__["anchored"] = analysis.anchored.iloc[:0]

    for place, caption in ((0, "Anchored:"), (4, "Anchored:")):
        sheet = tables.SHEETS[place](poorer)
        assert "anchored [95 %]" not in {column.head for grid in sheet.grids for column in grid.columns}
        assert caption not in sheet.caption
        assert caption in sheets[sheet.name].caption
    assert set(sheets["readings"].frame["reading"]) == {"over clean", "minus random", "anchored"}


def test_a_ceiling_is_marked_and_takes_no_rank():
    values = {("m", "gradcam"): 0.5, ("m", "ig"): 0.3, ("m", "random"): 0.1, ("m", "centre"): 0.9}
    run = run_of({place: [value + image / 100 for image in range(20)] for place, value in values.items()})
    told = dict(run.explainers) | {"centre": {"name": "centre", "kind": "ceiling"}}
    rows = lines(tables.SHEETS[0](analyse(dataclasses.replace(run, explainers=told))).grids[0])

    found = {row["explainer"].text: (row["rank"].text, row["mean [95 %]"].top) for row in rows}

    assert found == {
        "centre (ceiling)": ("", False), "gradcam": ("1", True), "ig": ("2", False), "random (control)": ("3", False)
    }  # fmt: skip


def test_ranks_within_the_critical_difference_are_bold_where_friedman_tells(analysis):
    place = {"across": "explainer", "data": "d", "metric": "deletion", "fixed": "m"}
    ranked = analyse(analysis.run)
    ranks = {"random": 3.0, "ig": 1.2, "gradcam": 1.8}
    ranked.__dict__["ranks"] = pd.DataFrame([place | {"name": n, "rank": r, "n": 40} for n, r in ranks.items()])
    test = {"statistic": 30.0, "p": 1e-6, "names": 3, "n": 40, "critical_difference": 0.7, "note": ""}
    ranked.__dict__["friedman"] = pd.DataFrame([place | test])
    sheet = tables.SHEETS[3](ranked)
    ranked.__dict__["friedman"] = pd.DataFrame([place | test | {"p": 0.2}])

    assert [
        (row["explainer"].text, row["deletion ↓"].text, row["deletion ↓"].top) for row in lines(sheet.grids[0])
    ] == [("ig", "1.20", True), ("gradcam", "1.80", True), ("random (control)", "3.00", False)]
    assert sheet.notes == (
        "deletion ↓, m, d: Friedman's chi-squared = 30, p = 1e-06, 3 names, n = 40; critical difference 0.70",
    )
    assert not any(row["deletion ↓"].top for row in lines(tables.SHEETS[3](ranked).grids[0]))


def test_the_best_rank_is_not_that_of_a_ceiling(analysis):
    told = dict(analysis.run.explainers) | {"centre": {"name": "centre", "kind": "ceiling"}}
    ranked = analyse(dataclasses.replace(analysis.run, explainers=told))
    place = {"across": "explainer", "data": "d", "metric": "deletion", "fixed": "m"}
    ranks = {"centre": 1.0, "ig": 2.1, "gradcam": 2.9, "random": 4.0}
    ranked.__dict__["ranks"] = pd.DataFrame([place | {"name": n, "rank": r, "n": 40} for n, r in ranks.items()])
    test = {"statistic": 30.0, "p": 1e-6, "names": 4, "n": 40, "critical_difference": 1.0, "note": ""}
    ranked.__dict__["friedman"] = pd.DataFrame([place | test])
    rows = lines(tables.SHEETS[3](ranked).grids[0])

    assert [row["explainer"].text for row in rows if row["deletion ↓"].top] == ["ig", "gradcam"]


def test_comparisons_that_were_not_made_are_said(analysis):
    poorer = analyse(analysis.run)
    poorer.__dict__["explainers"] = analysis.explainers.iloc[1:]

    assert "each is compared with the best and the controls only" in tables.SHEETS[1](poorer).caption
    assert "compared with the best" not in tables.SHEETS[1](analysis).caption


def test_provenance_holds_what_the_run_says_and_what_every_row_says(sheets):
    facts = dict(sheets["provenance"].frame.itertuples(index=False))

    assert facts["versions.torch"] == "2.15"
    assert facts["rows.fingerprints"] == "model=0123456789ab;data=ba9876543210"


def grid_of(groups, metrics, *, matrix=True):
    columns = (Column("model", spans=True), *(Column(f"m{number}") for number in range(metrics)))
    rows = [Row((Cell(group), *[Cell("1")] * metrics), group) for group, size in groups for _ in range(size)]
    return Grid("", columns, tuple(rows), stub=1, matrix=matrix)


def test_a_part_is_four_metrics_wide_and_a_list_is_not_cut():
    assert [len(part.columns) for part in parts(grid_of([("a", 2)], 6))] == [5, 3]
    assert [len(part.columns) for part in parts(grid_of([("a", 2)], 9, matrix=False))] == [10]
    assert [len(part.rows) for part in parts(grid_of([("a", 500)], 2))] == [500]


def test_a_row_of_another_length_is_a_fault_of_ours():
    with pytest.raises(ValueError, match="a row of 1 cells under 2 columns"):
        Grid("", (Column("a"), Column("b")), (Row((Cell("x"),)),), stub=1)
