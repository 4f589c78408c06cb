"""What a check says, in every form: nothing lost, nothing broken by a name, nothing that only looks like a pass."""

import dataclasses
import json
import math
import re

import junitparser
import made_checks
import pytest
from made_checks import HOSTILE, cell, check

from xai_bench.gate import VERDICTS, Margins, exports
from xai_bench.gate.exports import words

ALL = made_checks.of_every_verdict()
NAMED = {"metric": HOSTILE, "explainer": HOSTILE, "model": HOSTILE, "data": HOSTILE}
WILD = check(
    cell("regression", **NAMED, note=HOSTILE),
    cell("undecided", **(NAMED | {"model": f"{HOSTILE}2"}), note=HOSTILE),
    cell("pass", **(NAMED | {"data": f"{HOSTILE}2"})),
    notes=(HOSTILE,),
    run=HOSTILE,
    reference=HOSTILE,
)
MANY = check(
    *(cell("regression", metric=f"metric{number:0200}") for number in range(2000)),
    *(cell("pass", model=f"model{number:0200}") for number in range(2000)),
)
# The schema by which Jenkins' xUnit plugin takes or refuses a file, junit-10.xsd: element -> attributes, children.
SCHEMA = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "skipped"},
        {"properties", "testcase", "system-out"},
    ),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": ({"name", "time", "classname"}, {"skipped", "failure", "system-out"}),
    "failure": ({"type", "message"}, set()),
    "skipped": ({"type", "message"}, set()),
    "system-out": (set(), set()),
}


def rows(text):
    """The first words of the lines of the terminal's table."""
    lines = text.split("\n\n")[1].splitlines()[2:]
    return [line.split()[0] for line in lines]


def parsed(content):
    """JUnit as an independent reader has it: (name, outcome), one per case."""
    suite = next(iter(junitparser.JUnitXml.fromstring(content)))
    return {case.name: case for case in suite}


def outcome(case):
    return type(case.result[0]).__name__ if case.result else "Passed"


# -- the terminal


def test_a_row_says_which_cell_got_worse_by_how_much_and_what_is_allowed():
    line = exports.text(check(cell("regression"), cell())).splitlines()[4]

    assert " ".join(line.split()) == "regression deletion ↓ gradcam 0.310 0.351 +0.041 [+0.030, +0.052] 0.02 200"


def test_the_worst_stands_first_and_what_passed_is_only_counted():
    found = rows(exports.text(ALL))

    assert found == [name for name in VERDICTS if name not in words.QUIET for _ in range(ALL.counts[name])]
    assert "2 pass" in exports.text(ALL)


def test_every_cell_is_listed_where_all_are_asked_for():
    assert len(rows(exports.text(ALL, everything=True))) == len(ALL.verdicts)


def test_the_cell_farthest_over_its_margin_stands_first():
    found = check(cell("regression", explainer="a"), cell("regression", explainer="b", worse=0.3))

    assert exports.text(found).index(" b ") < exports.text(found).index(" a ")


def test_the_last_line_is_the_sentence_and_notes_stand_before_it():
    *_, note, sentence = exports.text(ALL).split("\n\n")

    assert note == "note: now was scored with seed 1, then with 0."
    assert sentence == ALL.sentence


def test_data_and_model_have_a_column_only_where_they_differ():
    one, two = check(cell("regression")), check(cell("regression"), cell("regression", model="other", data="scans"))

    assert "model m, data photos" in exports.text(one)
    assert "photos" not in exports.text(one).split("\n\n")[1]
    assert exports.text(two).split("\n\n")[1].splitlines()[0].split()[:3] == ["verdict", "data", "model"]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"needed": 1134.0}, "may be within the margin or over it; about 1,200 images would decide"),
        ({"needed": math.inf}, "may be within the margin or over it; no number of images would decide"),
        ({"needed": 430.0, "worse": 0.03, "p_holm": 0.083}, "over the margin, but p = 0.083 over all cells (Holm); "),
        ({"needed": math.nan, "note": "3 became undefined: map is constant"}, "3 became undefined: map is constant"),
    ],
)
def test_an_undecided_cell_says_why_and_what_would_decide_it(facts, said):
    assert words.why(cell("undecided", **facts)).startswith(said)


def test_bounds_carry_the_level_that_was_asked_for():
    found = check(cell("regression"), margins=Margins(alpha=0.01))

    assert "worse by [99 % each side]" in exports.text(found)
    assert "worse by [99 % each side]" in exports.markdown(found)


def test_a_check_that_lists_nothing_is_its_count_and_its_sentence():
    found = check(cell(), cell(explainer="ig"))

    assert exports.text(found).split("\n\n")[1:] == ["Nothing got worse: 2 of 2 cells pass."]


def test_a_log_of_thousands_of_rows_is_cut_and_says_so():
    found = exports.text(MANY)

    assert len(found.splitlines()) < 220
    assert "1,800 more rows are left out; --all lists them" in found


@pytest.mark.parametrize("everything", [False, True])
def test_no_name_moves_the_cursor_or_begins_a_line_of_a_log(everything):
    found = exports.text(WILD, everything=everything)

    assert not set(found) & set(map(chr, [*range(10), *range(11, 32), 127, 0x202E, 0xD800]))
    assert not [line for line in found.splitlines() if line.strip().startswith("::")]


def test_a_very_long_name_keeps_both_ends():
    assert words.clipped("a" * 500 + "z" * 500, 80) == "a" * 40 + "…" + "z" * 39
    assert words.clipped("short", 80) == "short"


# -- the job summary


@pytest.mark.parametrize(
    ("cells", "head"),
    [
        (["regression", "undecided", "pass"], "## ❌ Explanations got worse"),
        (["vanished", "pass"], "## ❌ Explanations got worse"),
        (["undecided", "pass"], "## ❔ Cannot tell whether explanations got worse"),
        (["pass", "new", "ignored"], "## ✅ Explanations did not get worse"),
        (["improved"], "## ✅ Explanations did not get worse"),
        (["ignored", "unscored", "new"], "## ❔ Nothing was decided"),
    ],
)
def test_a_summary_begins_with_the_verdict(cells, head):
    made = check(*(cell(name, explainer=name) for name in cells))

    assert exports.markdown(made).splitlines()[0] == head


def test_a_summary_lists_what_did_not_simply_pass_and_folds_the_rest():
    above, _, folded = exports.markdown(ALL).partition("<details><summary>2 cells passed, 1 ignored</summary>\n\n")

    assert len([line for line in above.splitlines() if line.startswith("|")]) == 2 + 8
    assert len([line for line in folded.splitlines() if line.startswith("|")]) == 2 + 3
    assert "</details>" in folded


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("regression", ["accept it with `xai-bench reference update RUN REFERENCE`"]),
        ("vanished", ["accept it with", "A vanished cell is in the reference and not in this run"]),
        ("undecided", ["score about 1,200 images, which would decide 1 cell", "`--allow-undecided` lets it pass"]),
        ("new", ["New cells are checked once"]),
    ],
)
def test_a_summary_says_what_to_do_next(verdict, said):
    made = exports.markdown(check(cell(verdict), cell(explainer="ig")))

    assert [part for part in said if part not in made] == []
    assert len(exports.advice(check(cell(verdict)))) == len(said) - (verdict == "undecided")


def test_where_all_is_well_there_is_nothing_to_do():
    assert exports.advice(check(cell())) == ()
    assert "What to do" not in exports.markdown(check(cell()))


def test_more_images_are_not_advised_where_none_would_decide():
    (advice,) = exports.advice(check(cell("undecided", needed=math.inf)))

    assert advice.startswith("No number of images decides what is undecided")


def test_no_name_is_markup_in_a_summary():
    found = exports.markdown(WILD)
    table = [line for line in found.splitlines() if line.startswith("|")]

    assert "<script" not in found
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {12}
    assert re.findall(r"(?<!\\)`[^`]*`", found) == [
        "`xai-bench reference update RUN REFERENCE`",
        "`--allow-undecided`",
    ]
    assert found.encode()  # no half of a pair of surrogates


@pytest.mark.parametrize("limit", [exports.LIMIT, 200_000, 20_000])
def test_a_summary_that_is_too_long_is_cut_from_the_passes_on_and_says_so(limit):
    found = exports.markdown(MANY, limit)
    shown = len(re.findall(r"^\| \*\*regression", found, re.MULTILINE))
    cut = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) more rows left out", found)]

    assert len(found.encode()) <= limit
    assert len(found.encode()) > limit - 2000
    assert sum(cut) + len(re.findall(r"^\| (\*\*)?(regression|pass)", found, re.MULTILINE)) == 4000
    assert shown == 2000 or "| pass |" not in found
    assert found.rstrip().endswith("what a reviewer agrees to.")


def test_names_as_long_as_a_summary_do_not_burst_it():
    long = check(*(cell("regression", model="m" * 10**6, note="n" * 10**6) for _ in range(9)), notes=["x" * 10**6] * 99)

    assert len(exports.markdown(long, 60_000).encode()) <= 60_000


# -- JUnit


def test_every_cell_is_a_case_and_what_is_red_fails():
    cases = parsed(exports.junit(ALL))
    failed = [name for name, case in cases.items() if outcome(case) == "Failure"]
    skipped = [name for name, case in cases.items() if outcome(case) == "Skipped"]

    assert len(cases) == len(ALL.verdicts)
    assert failed == [words.title(one) for one in ALL.of("regression", "vanished", "undecided")]
    assert skipped == [words.title(one) for one in ALL.of("unscored", "ignored", "new")]


@pytest.mark.parametrize(("allowed", "failures", "skipped"), [(False, 5, 3), (True, 3, 5)])
def test_what_is_undecided_fails_unless_it_is_allowed(allowed, failures, skipped):
    found = junitparser.JUnitXml.fromstring(exports.junit(ALL, allow_undecided=allowed))
    suite = next(iter(found))
    counted = (suite.tests, suite.failures, suite.errors, suite.skipped)
    found.update_statistics()

    assert counted == (11, failures, 0, skipped)
    assert (found.tests, found.failures, found.errors) == (11, failures, 0)
    assert suite.skipped == skipped


def test_a_failure_says_in_one_line_what_happened_and_in_its_text_the_numbers():
    case = parsed(exports.junit(check(cell("regression", lost=3, left=2))))["deletion of gradcam on m (photos)"]
    (failure,) = case.result

    assert failure.message == "regression: worse by +0.041 [+0.030, +0.052], margin 0.02"
    assert failure.type == "regression"
    assert set(failure.text.splitlines()) >= {
        *("before: 0.310", "now: 0.351", "worse by [95 % each side]: +0.041 [+0.030, +0.052]", "margin: 0.02"),
        *("images: 200", "lost their score: 3", "undefined in both: 2"),
    }


def test_a_case_is_grouped_by_data_and_model_where_a_dot_parts_package_and_class():
    (case,) = parsed(exports.junit(check(cell(model="timm:resnet18.a1_in1k")))).values()

    assert case.classname == "photos.timm:resnet18_a1_in1k"


def test_the_suite_says_what_was_held_against_what():
    suite = next(iter(junitparser.JUnitXml.fromstring(exports.junit(ALL))))
    found = {one.name: one.value for one in suite.properties()}

    assert found == {
        "run": "runs/now",
        "reference": "faithfulness.reference.json",
        "verdict": "regression",
        "alpha": "0.05",
    }
    assert suite._elem.findtext("system-out").splitlines()[-1] == ALL.sentence


@pytest.mark.parametrize("made", [ALL, WILD, check()], ids=["every verdict", "hostile names", "no cells"])
def test_junit_has_nothing_that_jenkins_refuses(made):
    root = junitparser.JUnitXml.fromstring(exports.junit(made))._elem
    found = {(one.tag, name) for one in root.iter() for name in one.attrib} | {
        (one.tag, child.tag) for one in root.iter() for child in one
    }

    assert found <= {(tag, name) for tag, sets in SCHEMA.items() for names in sets for name in names}
    assert re.fullmatch(r"[\d,]*\.\d{3}", root.get("time"))


def test_names_that_xml_cannot_hold_are_shown_as_far_as_they_can_be():
    cases = parsed(exports.junit(WILD))

    assert len(cases) == 3
    assert [
        name for name in cases if "a|b`c`<script>alert(1)</script>\ufffd[31m\ufffd ::error::x\ufffd]]>&" not in name
    ] == []


# -- machines


def test_records_are_json_that_any_reader_takes():
    read = json.loads(json.dumps(exports.records(ALL), allow_nan=False))
    first, *_ = read["cells"]

    assert (read["verdict"], read["exit_code"], read["counts"]) == ("regression", 1, dict(ALL.counts))
    assert len(read["cells"]) == len(ALL.verdicts)
    assert first["worse"] == 0.041
    assert first["needed"] is None
    assert [one["before"] for one in read["cells"] if one["verdict"] == "vanished"] == [None]


def test_records_keep_a_name_as_it_is():
    read = json.loads(json.dumps(exports.records(WILD)))

    assert read["cells"][0]["metric"] == HOSTILE
    assert read["notes"] == [HOSTILE]


@pytest.mark.parametrize(("allowed", "code"), [(False, 3), (True, 0)])
def test_records_give_the_exit_code_of_the_command(allowed, code):
    found = exports.records(check(cell("undecided", needed=math.inf)), allow_undecided=allowed)

    assert (found["exit_code"], found["verdict"]) == (code, "undecided")
    assert found["cells"][0]["needed"] is None
    assert "no number of images would decide" in found["cells"][0]["why"]


def test_a_chart_has_the_means_of_this_run_by_direction():
    bigger, smaller = exports.benchmark(ALL).values()

    assert [entry["name"] for entry in bigger] == [
        f"insertion of {one} on m (photos)" for one in ("gradcam", "ig", "saliency")
    ]
    assert len(smaller) == 4
    assert smaller[0] == {
        "name": "deletion of gradcam on m (photos)",
        "unit": "mean score",
        "value": 0.351,
        "range": "± 0.011",
        "extra": "regression, n = 200, reference 0.310, worse by +0.041 [+0.030, +0.052]",
    }


@pytest.mark.parametrize("facts", [{"now": math.nan}, {"better": "unstated"}])
def test_a_chart_leaves_out_what_has_no_score_or_no_direction(facts):
    assert exports.benchmark(check(cell(**facts))) == {"customBiggerIsBetter": [], "customSmallerIsBetter": []}


def test_a_point_without_bounds_has_no_range():
    (entry,) = exports.benchmark(check(cell(low=math.nan, high=math.nan)))["customSmallerIsBetter"]

    assert "range" not in entry


@pytest.mark.parametrize("form", [exports.text, exports.markdown, exports.junit, exports.records, exports.benchmark])
def test_a_check_of_nothing_has_every_form(form):
    assert form(dataclasses.replace(ALL, verdicts=(), notes=()))
