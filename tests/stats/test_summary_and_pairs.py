import numpy as np
import pandas as pd
import pytest
from made_runs import run_of
from scipy import stats as scipy_stats

from xai_bench.errors import RunError, UnknownNameError
from xai_bench.runs.run import Run
from xai_bench.stats import curve_bands, holm, interval, paired, summary, top_marks


def only(run):
    return summary(run).iloc[0]


def test_mean_and_counts_are_of_the_defined_scores():
    row = only(run_of(("m", "e", "quality", [0.2, np.nan, 0.4, 0.6])))

    assert row["mean"] == pytest.approx(0.4)
    assert (row["n"], row["undefined"]) == (3, 1)
    assert "no region (1)" in row["note"]


def test_infinite_scores_are_undefined():
    row = only(run_of(("m", "e", "quality", [0.2, np.inf, 0.4])))

    assert (row["n"], row["undefined"]) == (2, 1)


def test_all_undefined_has_no_interval_and_says_why():
    row = only(run_of(("m", "e", "quality", [np.nan, np.nan])))

    assert np.isnan([row["mean"], row["low"], row["high"]]).all()
    assert (row["n"], row["undefined"], row["note"]) == (0, 2, "all undefined; no region (2)")


def test_one_image_has_a_mean_but_no_interval():
    assert interval(np.array([0.3]))[0] == 0.3
    assert np.isnan(interval(np.array([0.3]))[1:3]).all()
    assert interval(np.array([0.3])).note == "one image"


def test_equal_scores_have_no_spread():
    assert interval(np.full(5, 0.3)) == (pytest.approx(0.3), pytest.approx(0.3), pytest.approx(0.3), "no spread")


def test_wilson_interval_of_eight_in_ten_is_the_published_one():
    low, high = 0.4902, 0.9433  # Wilson score interval without continuity correction

    assert interval(np.array([1.0] * 8 + [0.0] * 2), binary=True)[1:3] == pytest.approx((low, high), abs=1e-4)


def test_a_cell_of_hits_only_still_has_a_width_when_other_cells_show_the_scores_are_hits():
    run = run_of(("m", "a", "hit", [1, 1, 1, 1]), ("m", "b", "hit", [0, 1, 1, 0]))

    assert only(run)["low"] < 0.6
    assert only(run)["high"] == 1


@pytest.mark.parametrize(("metric", "score"), [("error", 0.0), ("correlation", 1.0)])
def test_a_score_that_could_be_another_is_no_hit(metric, score):
    row = only(run_of(("m", "e", metric, [score] * 20)))

    assert (row["low"], row["high"], row["note"]) == (score, score, "no spread")


def test_hits_of_a_metric_without_a_card_are_still_hits():
    row = only(run_of(("m", "e", "of a plug-in", [1.0] * 20)))

    assert 0.8 < row["low"] < 0.9


def test_bca_agrees_with_scipy_on_skewed_scores():
    scores = np.random.default_rng(0).exponential(size=80)
    found = scipy_stats.bootstrap((scores,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1))

    assert interval(scores)[1:3] == pytest.approx(tuple(found.confidence_interval), abs=0.015)


def test_interval_covers_the_true_mean_about_95_times_in_100():
    rng = np.random.default_rng(3)
    found = [interval(rng.normal(size=50)) for _ in range(200)]

    assert 0.90 <= np.mean([low <= 0 <= high for _, low, high, _ in found]) <= 0.99


def test_the_same_scores_give_the_same_interval_to_the_last_bit():
    scores = np.random.default_rng(0).random(33)

    assert interval(scores) == interval(scores.copy())


def test_few_images_are_noted():
    assert interval(np.array([0.1, 0.2, 0.4])).note == "few images"


def test_an_image_scored_twice_is_refused():
    run = run_of(("m", "e", "quality", [0.1]), ("m", "e", "quality", [0.2]))

    with pytest.raises(RunError, match="'quality' of 'e' on 'm', 'd' twice for image '0'"):
        summary(run)


def test_a_set_metric_keeps_its_stored_value_and_has_an_interval_around_it():
    classes = [("d", "m", "none", "class_entropy", f"{i}", 0.0, float(i % 4)) for i in range(40)]
    row = only(run_of(("m", "none", "class_entropy", [np.log(4)]), curves=classes))

    assert row["mean"] == pytest.approx(np.log(4))
    assert row["n"] == 40
    assert row["low"] < np.log(4) < row["high"] < np.log(4) + 0.1


def test_a_set_metric_without_records_has_no_interval():
    row = only(run_of(("m", "none", "class_entropy", [1.2])))

    assert row["mean"] == 1.2
    assert np.isnan(row["low"])
    assert "fewer than two records" in row["note"]


def test_paired_difference_is_of_images_defined_in_both():
    run = run_of(("m", "a", "quality", [0.5, 0.7, np.nan, 0.9]), ("m", "b", "quality", [0.4, 0.5, 0.1, np.nan]))
    row = paired(run).iloc[0]

    assert (row["a"], row["b"], row["n"], row["undefined"]) == ("a", "b", 2, 2)
    assert row["difference"] == pytest.approx(0.15)
    assert row["mean_a"] == pytest.approx(0.6)


def test_pairing_is_by_image_and_not_by_row():
    run = run_of(("m", "a", "quality", [0.1, 0.5, 0.9]), ("m", "b", "quality", [0.1, 0.5, 0.9]))
    shuffled = Run(run.scores.iloc[[0, 1, 2, 5, 3, 4]], run.curves, run.cards)
    row = paired(shuffled).iloc[0]

    assert (row["difference"], row["p"], row["better"]) == (0, 1, "")


@pytest.mark.parametrize(("metric", "better"), [("quality", "a"), ("damage", "b")])
def test_the_winner_depends_on_the_direction(metric, better):
    noise = np.random.default_rng(0).normal(0, 0.1, 40)
    row = paired(run_of(("m", "a", metric, 0.8 + noise), ("m", "b", metric, 0.5 - noise))).iloc[0]

    assert row["better"] == better


def test_two_of_a_kind_are_undecided():
    first, second = np.random.default_rng(0).random((2, 40))
    row = paired(run_of(("m", "a", "quality", first), ("m", "b", "quality", second))).iloc[0]

    assert row["better"] == ""
    assert row["low"] < 0 < row["high"]


def test_null_differences_are_rarely_called():
    cells = [
        (f"m{i}", e, "quality", np.random.default_rng((i, j)).random(30)) for i in range(60) for j, e in enumerate("ab")
    ]

    assert (paired(run_of(*cells))["better"] != "").sum() == 0


def test_models_are_compared_under_the_same_explainer():
    run = run_of(("x", "none", "hit", [0, 1]), ("y", "none", "hit", [1, 1]), ("y", "e", "quality", [0.1, 0.2]))
    table = paired(run, "model")

    assert list(zip(table["fixed"], table["a"], table["b"], strict=True)) == [("none", "x", "y")]


def test_an_unknown_comparison_is_refused_by_name():
    with pytest.raises(UnknownNameError, match="unknown comparison 'modle'; did you mean 'model'"):
        paired(run_of(("m", "e", "quality", [1.0])), "modle")


def test_no_pairs_give_an_empty_table():
    assert paired(run_of(("m", "e", "quality", [1.0]))).empty


def test_holm_is_the_worked_example():
    corrected = [0.03, 0.06, 0.06, 0.02]  # 0.01 * 3; 0.03 * 2; 0.04 lifted to 0.06; 0.005 * 4

    assert holm(np.array([0.01, 0.03, 0.04, 0.005])) == pytest.approx(corrected)


def test_holm_does_not_count_tests_that_were_not_made():
    assert holm(np.array([0.01, np.nan])) == pytest.approx([0.01, np.nan], nan_ok=True)


def test_holm_is_over_all_rows_of_a_metric_whatever_the_data():
    """Each metric is a question of its own, asked on two data sets and of two models: 0.03 is corrected fourfold."""
    rng = np.random.default_rng(0)
    metrics = ("quality", "damage")
    run = run_of(*((m, e, metric, rng.random(12)) for m in "xy" for e in "ab" for metric in metrics))
    both = pd.concat([run.scores, run.scores.assign(data="d2", score=rng.permutation(run.scores["score"]))])
    table = paired(Run(both, run.curves, run.cards))

    assert table.groupby("metric").size().to_dict() == {"quality": 4, "damage": 4}
    for metric in metrics:
        rows = table[table["metric"] == metric]
        assert rows["p_holm"].tolist() == pytest.approx(holm(rows["p"].to_numpy()).tolist())
        assert rows["p_holm"].min() == pytest.approx(min(1, 4 * rows["p"].min()))


def marks_of(*cells):
    run = run_of(*cells)
    table = summary(run)
    return dict(zip(table["explainer"], top_marks(table, paired(run), paired(run, "model")), strict=True))


def test_top_marks_are_those_not_worse_than_the_best():
    noise = np.random.default_rng(0).normal(0, 0.1, (3, 60))
    marks = marks_of(
        *(("m", e, "quality", mean + noise[i]) for i, (e, mean) in enumerate([("a", 0.8), ("b", 0.79), ("c", 0.2)]))
    )

    assert marks == {"a": True, "b": True, "c": False}


def test_nothing_is_marked_where_nothing_is_known():
    noise = np.random.default_rng(0).random((2, 20))

    assert marks_of(("m", "a", "quality", noise[0]), ("m", "b", "quality", noise[1])) == {"a": False, "b": False}


def test_a_row_that_was_not_compared_with_the_best_is_not_marked():
    noise = np.random.default_rng(0).normal(0, 0.1, (4, 60))
    run = run_of(*(("m", "abcd"[i], "quality", mean + noise[i]) for i, mean in enumerate((0.8, 0.79, 0.2, 0.0))))
    table, pairs = summary(run), paired(run)
    untold = pairs[~((pairs["a"] == "a") & (pairs["b"] == "d"))]

    assert top_marks(table, pairs, pairs[:0]).tolist() == [True, True, False, False]
    assert top_marks(table, untold, pairs[:0]).tolist() == [True, True, False, False]


def test_bands_are_the_mean_curve_with_its_interval():
    curves = [("d", "m", "e", "quality", f"{i}", f, v + i / 10) for i in range(5) for f, v in ((0.0, 0.5), (1.0, 0.1))]
    bands = curve_bands(run_of(("m", "e", "quality", [0.1]), curves=curves))

    assert bands["mean"].tolist() == pytest.approx([0.7, 0.3])
    assert (bands["low"] < bands["mean"]).all()
    assert (bands["high"] <= bands["mean"] + 0.2).all()


def test_between_evaluated_points_a_curve_is_a_straight_line():
    values = {"0": {0.0: 1.0, 0.5: 0.0, 1.0: 0.0}, "1": {0.0: 1.0, 1.0: 0.0}}
    curves = [
        ("d", "m", "e", "quality", sample, fraction, value)
        for sample, points in values.items()
        for fraction, value in points.items()
    ]
    bands = curve_bands(run_of(("m", "e", "quality", [0.1, 0.2]), curves=curves))

    assert bands["fraction"].tolist() == [0, 0.5, 1]
    assert bands["mean"].tolist() == pytest.approx([1, 0.25, 0])
    assert bands["n"].tolist() == [2, 2, 2]


def test_where_ranks_and_mean_point_apart_nobody_is_better():
    few_much = np.concatenate([np.full(15, 30.0), np.full(85, -1.0)])  # mean 3.65, but worse on most images
    noise = np.random.default_rng(0).normal(0, 1e-3, 100)
    row = paired(run_of(("m", "a", "quality", few_much + noise), ("m", "b", "quality", np.zeros(100)))).iloc[0]

    assert row["low"] > 0 > row["effect"]
    assert row["p_holm"] < 0.05
    assert row["better"] == ""
