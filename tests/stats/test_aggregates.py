"""Aggregates against rliable and against numbers known on paper."""

import numpy as np
import pandas as pd
import pytest
from made_runs import run_of
from rliable import metrics  # its `library` needs a package that does not follow pandas
from scipy.stats import bootstrap

from xai_bench.results import Results
from xai_bench.stats import aggregates, improvement, profiles

RNG = np.random.default_rng(0)
SKILL = {"a": RNG.beta(4, 3, (60, 3)), "b": RNG.beta(3, 4, (60, 3))}  # images x models


def run_with(scores, metric="share"):
    return run_of(
        *((f"m{m}", name, metric, column) for name, table in scores.items() for m, column in enumerate(table.T))
    )


def test_the_interquartile_mean_is_that_of_the_middle_half():
    row = aggregates(run_with({"a": np.arange(8.0)[:, None] / 10})).iloc[0]

    assert row["iqm"] == pytest.approx(0.35)  # of 0.2, 0.3, 0.4, 0.5
    assert (row["n"], row["models"], row["note"]) == (8, 1, "few scores")


def test_one_wild_image_does_not_move_it():
    scores = np.linspace(0.4, 0.6, 40)[:, None]
    wild = scores.copy()
    wild[0] = -1e6

    found = [aggregates(run_with({"a": table}, "quality")).iloc[0] for table in (scores, wild)]
    assert found[0]["iqm"] == found[1]["iqm"]
    assert found[0]["mean"] > 0.4 > found[1]["mean"]


def test_the_interquartile_mean_is_rliables():
    row = aggregates(run_with({"a": SKILL["a"]})).iloc[0]

    assert row["iqm"] == pytest.approx(metrics.aggregate_iqm(SKILL["a"]))


def test_its_interval_is_scipys_percentile_bootstrap():
    one = SKILL["a"][:, 0]
    found = bootstrap(
        (one,),
        metrics.aggregate_iqm,
        vectorized=False,
        method="percentile",
        n_resamples=2000,
        rng=np.random.default_rng(1),
    )
    row = aggregates(run_with({"a": one[:, None]})).iloc[0]

    assert (row["low"], row["high"]) == pytest.approx(tuple(found.confidence_interval), abs=0.01)


def test_of_hits_the_mean_says_it():
    row = aggregates(run_with({"a": np.array([[1.0]] * 9 + [[0.0]])}, "hit")).iloc[0]

    assert (row["mean"], row["n"], row["note"]) == (0.9, 10, "hits: see the mean")
    assert np.isnan([row["iqm"], row["low"], row["high"]]).all()


def test_results_have_them():
    run = run_with(SKILL)

    pd.testing.assert_frame_equal(Results(run).aggregates(), aggregates(run))


def test_images_are_shared_by_models_and_drawn_for_all_at_once():
    same = np.repeat(SKILL["a"][:, :1], 3, axis=1)  # three models that are one
    one, three = (aggregates(run_with({"a": table})).iloc[0] for table in (same[:, :1], same))

    assert three["high"] - three["low"] == pytest.approx(one["high"] - one["low"], rel=0.05)


def test_an_image_missing_for_one_model_leaves_only_that_score_out():
    table = SKILL["a"].copy()
    table[0, 0] = np.nan

    assert aggregates(run_with({"a": table})).iloc[0]["n"] == table.size - 1


def test_probability_of_improvement_is_paired_with_ties_half():
    a, b = np.array([[0.9], [0.5], [0.2], [0.8]]), np.array([[0.1], [0.5], [0.6], [0.3]])
    row = improvement(run_with({"a": a, "b": b})).iloc[0]

    assert (row["a"], row["b"], row["probability"]) == ("a", "b", 0.625)  # 2 wins, 1 tie, 1 loss
    assert row["low"] < 0.625 < row["high"]
    assert improvement(run_with({"a": a, "b": b}, "loss")).iloc[0]["probability"] == 0.375


def test_it_is_rliables_where_every_image_is_a_task_with_one_run():
    expected = metrics.probability_of_improvement(*(table.reshape(1, -1) for table in SKILL.values()))

    assert improvement(run_with(SKILL)).iloc[0]["probability"] == pytest.approx(expected)


def test_always_better_is_not_certain():
    row = improvement(run_with({"a": np.ones((20, 1)), "b": np.zeros((20, 1))})).iloc[0]

    assert row["probability"] == 1
    assert 0.8 < row["low"] < 0.9  # Wilson: 20 of 20


def test_a_profile_is_the_share_of_scores_above_each_threshold():
    found = profiles(run_with(SKILL))

    for name, table in SKILL.items():
        mine = found[found["explainer"] == name]
        expected = [(table > threshold).mean() for threshold in mine["threshold"]]
        assert mine["share"].to_numpy() == pytest.approx(expected)
        assert (mine["low"] <= mine["share"]).all()
        assert (mine["share"] <= mine["high"]).all()


def test_a_profile_of_a_loss_counts_scores_below():
    found = profiles(run_with({"a": np.array([[0.2], [0.4]])}, "loss")).set_index("threshold")["share"]

    assert (found[0.1], found[0.3], found[0.9]) == (0, 0.5, 1)


def test_thresholds_of_an_unbounded_metric_span_the_scores():
    found = profiles(run_with({"a": np.array([[-2.0], [4.0]])}, "quality"))

    assert (found["threshold"].min(), found["threshold"].max()) == (-2, 4)


def test_nothing_defined_and_one_image_have_no_interval():
    nothing = aggregates(run_with({"a": np.full((3, 1), np.nan)})).iloc[0]
    single = aggregates(run_with({"a": np.array([[0.3]])})).iloc[0]

    assert np.isnan([nothing["iqm"], nothing["low"], single["low"]]).all()
    assert (nothing["note"], single["note"], single["iqm"]) == ("all undefined", "one score", 0.3)
    assert profiles(run_with({"a": np.full((3, 1), np.nan)})).empty
    assert np.isnan(improvement(run_with({"a": np.full((3, 1), np.nan), "b": np.ones((3, 1))})).iloc[0]["probability"])
