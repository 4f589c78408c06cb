"""Two runs held against each other, on scores that are written down here."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from xai_bench import stats
from xai_bench.comparison import compare
from xai_bench.errors import InvalidValueError, RunError, UnknownNameError
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run

N = 30
NOISE = np.random.default_rng(0).normal(0, 0.02, N)
CARDS = {
    "deletion": {"name": "deletion", "better": "lower", "scope": "image"},
    "insertion": {"name": "insertion", "better": "higher", "scope": "image"},
    "class_entropy": {"name": "class_entropy", "better": "unstated", "scope": "set"},
}
PLAIN = {"data": "d", "model": "m", "explainer": "ig", "metric": "deletion", "version": 1, "spec": "x=1;steps=28"}
PLAIN |= {"target": 3, "reason": "", "error": np.nan, "clean": 0.8, "seed": 0, "precision": "fp32", "device": "cpu"}
PLAIN |= {"fingerprints": "model=aa data=bb", "explainer_spec": "ig()"}


def cell(scores, **changed):
    """Rows of one cell, one per score."""
    return pd.DataFrame([PLAIN | {"sample": f"s{i}", "score": score} | changed for i, score in enumerate(scores)])


def run(*cells, **info):
    curves = pd.DataFrame([], columns=list(CURVE_COLUMNS))
    frame = pd.concat(cells, ignore_index=True)[list(SCORE_COLUMNS)]
    return Run(frame, curves, CARDS, {"ig": {"name": "ig", "kind": "post-hoc"}}, info)


def held(old, new, **wanted):
    return compare([("old", old), ("new", new)], **wanted)


def row_of(*pair, **wanted):
    (row,) = held(*pair, **wanted).table.to_dict("records")
    return row


OLD, NEW = run(cell(0.5 + NOISE)), run(cell(0.3 - NOISE))


def test_the_difference_is_what_changed_since_the_reference():
    row = row_of(OLD, NEW)

    assert (row["across"], row["a"], row["b"], row["fixed"]) == ("run", "new", "old", "ig of m")
    assert row["difference"] == pytest.approx(np.mean(-0.2 - 2 * NOISE))
    assert (row["mean_a"], row["mean_b"]) == (pytest.approx(0.3 - NOISE.mean()), pytest.approx(0.5 + NOISE.mean()))
    assert (row["better"], row["direction"], row["n"], row["undefined"], row["lost"]) == ("a", "lower", N, 0, 0)


def test_it_is_the_paired_test_of_the_statistics():
    both = run(cell(0.3 - NOISE, model="new"), cell(0.5 + NOISE, model="old"))
    (expected,) = stats.paired(both, "model").to_dict("records")
    row = row_of(OLD, NEW)

    assert {name: row[name] for name in ("difference", "low", "high", "p", "p_holm", "n", "note")} == {
        name: expected[name] for name in ("difference", "low", "high", "p", "p_holm", "n", "note")
    }


def test_turned_round_everything_changes_its_sign():
    there, back = row_of(OLD, NEW), row_of(NEW, OLD)

    assert back["difference"] == pytest.approx(-there["difference"])
    assert (there["better"], back["better"]) == ("a", "b")
    assert back["p"] == pytest.approx(there["p"])


def test_a_run_against_its_copy_is_equal():
    row = row_of(OLD, run(cell(0.5 + NOISE)))

    assert (row["difference"], row["low"], row["high"], row["better"]) == (0, 0, 0, "")


def test_images_are_paired_by_name_and_not_by_place():
    shuffled = dataclasses.replace(OLD, scores=OLD.scores.sample(frac=1, random_state=0, ignore_index=True))

    assert row_of(OLD, shuffled)["low"] == 0


def test_only_images_that_both_have_count_and_the_others_are_told():
    found = held(OLD, run(cell((0.3 - NOISE)[:20])))

    assert found.table["n"].tolist() == [20]
    assert found.notes == ("10 images of d scored only in old cannot be paired.",)


def test_images_that_became_undefined_are_counted():
    scores = 0.3 - NOISE
    scores[:2] = np.nan
    before = 0.5 + NOISE
    before[1:4] = np.nan
    row = row_of(run(cell(before)), run(cell(scores)))

    assert (row["n"], row["undefined"], row["lost"]) == (N - 4, 4, 1)


def test_cells_that_only_one_run_has_are_told():
    found = held(OLD, run(cell(0.3 - NOISE), cell(NOISE, metric="insertion"), cell(NOISE, explainer="gradcam")))

    assert len(found.table) == 1
    assert found.notes == ("Only in new: insertion of ig on m (d), deletion of gradcam on m (d).",)


def test_holm_counts_every_run_that_is_compared():
    third = run(cell(0.5 + NOISE + np.random.default_rng(1).normal(0.01, 0.02, N)))
    alone = held(OLD, third).table
    table = compare([("old", OLD), ("new", NEW), ("third", third)]).table

    assert table["a"].tolist() == ["new", "third"]
    assert table["b"].tolist() == ["old", "old"]
    np.testing.assert_allclose(table["p_holm"], stats.holm(table["p"].to_numpy(float)))
    assert table["p_holm"].iloc[0] == pytest.approx(2 * table["p"].iloc[0])
    assert table["p"].iloc[1] == alone["p"].iloc[0]


def test_what_correction_takes_away_is_no_longer_better():
    lead = np.random.default_rng(3).normal(0.0055, 0.012, N)
    rest = [(f"r{k}", run(cell(0.5 + NOISE + np.random.default_rng(k).normal(0, 0.02, N)))) for k in range(9)]
    close = ("close", run(cell(0.5 + NOISE + lead)))

    assert held(OLD, close[1]).table["better"].tolist() == ["b"]
    assert compare([("old", OLD), close, *rest]).table["better"].iloc[0] == ""


def test_models_of_other_names_are_matched_where_each_run_has_one():
    row = row_of(OLD, run(cell(0.3 - NOISE, model="later")))

    assert (row["model"], row["reference_model"], row["fixed"]) == ("later", "m", "ig of later (m in the reference)")


def test_models_are_matched_as_asked():
    two = run(cell(0.3 - NOISE, model="m"), cell(0.9 - NOISE, model="n"))
    row = row_of(OLD, two, match={"m": "n"})

    assert (row["model"], row["mean_a"]) == ("n", pytest.approx(0.9 - NOISE.mean()))
    assert row_of(OLD, two)["model"] == "m"


def test_only_the_wanted_metrics_are_compared():
    old, new = (run(cell(x + NOISE), cell(x - NOISE, metric="insertion")) for x in (0.5, 0.3))

    assert held(old, new, metrics=["insertion"]).table["metric"].tolist() == ["insertion"]
    assert set(held(old, new).table["metric"]) == {"deletion", "insertion"}


def test_another_seed_does_not_keep_images_apart():
    found = held(OLD, run(cell(0.3 - NOISE, seed=1)))

    assert found.table["n"].tolist() == [N]
    assert found.notes == ("new was scored with seed 1, old with 0.",)


def test_several_seeds_against_one_stand_for_their_mean():
    several = run(cell(0.2 - NOISE, seed=0), cell(0.4 - NOISE, seed=1))
    row = row_of(OLD, several)

    assert (row["n"], row["mean_a"]) == (N, pytest.approx(0.3 - NOISE.mean()))


def test_a_number_of_a_whole_set_is_shown_without_a_test():
    sets = [cell([value], metric="class_entropy", explainer="none", sample="*") for value in (2.0, 1.5)]
    row = held(run(cell(NOISE), sets[0]), run(cell(NOISE), sets[1])).table.set_index("metric").loc["class_entropy"]
    alone = row_of(run(sets[0]), run(sets[1]))

    assert (row["difference"], row["n"], row["better"], row["fixed"]) == (-0.5, 1, "", "m")
    assert all(np.isnan(row[name]) for name in ("low", "high", "p", "p_holm"))
    assert alone["difference"] == -0.5


WEIGHTS = "Model m has other weights, layers or preprocessing in new than in old."


@pytest.mark.parametrize(
    ("new", "note"),
    [
        (run(cell(NOISE, precision="bf16")), "new was scored with precision bf16, old with fp32."),
        (run(cell(NOISE, device="cuda")), "new was scored with device cuda, old with cpu."),
        (run(cell(NOISE, fingerprints="model=cc data=bb")), WEIGHTS),
        (run(cell(NOISE, explainer_spec="ig(steps=9)")), "Explainer ig is ig(steps=9) in new and ig() in old."),
        (run(cell(NOISE), target="label"), "new was scored with target label, old with None."),
        (run(cell(NOISE, target=4)), "Images of d explained for another class in new than in old: 30 of 30 (m)."),
    ],
    ids=["precision", "device", "weights", "explainer", "target", "classes"],
)  # fmt: skip
def test_what_may_explain_a_difference_is_told_and_not_refused(new, note):
    assert held(OLD, new).notes == (note,)


def test_versions_that_differ_are_named():
    old, new = (run(cell(NOISE), versions={"torch": torch, "timm": "1.0"}) for torch in ("2.14", "2.15"))

    assert held(old, new).notes == ("new was made with torch 2.15 (2.14); in brackets what old was made with.",)


REFUSED = [
    (run(cell(NOISE, fingerprints="model=aa data=cc")), {}, RunError,
     "data 'd' hold other images in 'new' than in 'old': of the same names, but not the same (their pixels"),
    (run(cell(NOISE, spec="x=1;steps=56")), {}, RunError,
     "metric 'deletion' measures something else in 'new' (steps=56) than in 'old' (steps=28); score both the same way"),
    (run(cell(NOISE, version=2)), {}, RunError, "in 'new' (version=2) than in 'old' (version=1)"),
    (run(cell(NOISE, data="e")), {}, RunError, "runs 'old' and 'new' share no data (d and e)"),
    (run(cell(NOISE, metric="insertion")), {}, RunError, "share no metric (deletion and insertion)"),
    (run(cell(NOISE, explainer="gradcam")), {}, RunError, "share no explainer (ig and gradcam)"),
    (run(cell(NOISE, model="x"), cell(NOISE, model="y")), {}, RunError,
     "share no model (m and x, y), so nothing can be compared; say which stands for which with --match OLD=NEW"),
    (run(cell(NOISE).assign(sample="other")[:1]), {}, RunError, "share no image under any model"),
    (run(cell(NOISE)[:0]), {}, RunError, "run 'new' has no scores"),
    (OLD, {}, RunError, "run 'new' is given twice; name two different runs"),
    (NEW, {"match": {"mm": "m"}}, UnknownNameError, "unknown model of the reference 'old' 'mm'"),
    (NEW, {"match": {"m": "n"}}, UnknownNameError, "unknown model of the compared runs 'n'"),
    (NEW, {"metrics": ["deltion"]}, UnknownNameError, "metric of run 'old' 'deltion'; did you mean 'deletion'?"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("new", "wanted", "kind", "sentence"), REFUSED, ids=[sentence[:40] for *_, sentence in REFUSED]
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(new, wanted, kind, sentence):
    with pytest.raises(kind) as refusal:
        held(OLD, new, **wanted)

    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("score", [np.nan, np.inf])
def test_runs_without_an_image_that_both_have_a_score_of_are_refused_with_the_reason(score):
    with pytest.raises(RunError) as refusal:
        held(OLD, run(cell(score + NOISE, reason="no region")))

    assert str(refusal.value) == (
        "runs 'old' and 'new' have no image on which both scores are defined (in 'old' 0 of 30 scores are undefined; "
        "in 'new' 30 of 30 scores are undefined: no region), so nothing can be compared; `xai-bench report` of each "
        "lists what is undefined and why"
    )


def test_one_run_alone_and_two_for_one_are_refused():
    two = run(cell(NOISE, model="m"), cell(NOISE, model="n"))

    with pytest.raises(InvalidValueError, match="needs two runs or more, got 1"):
        compare([("old", OLD)])
    with pytest.raises(InvalidValueError, match="model 'm' cannot stand for two models of the reference"):
        held(two, NEW, match={"m": "m", "n": "m"})
