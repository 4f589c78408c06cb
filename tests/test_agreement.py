"""Agreement between metrics, on scores whose order is known."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from xai_bench import agreement
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run

CARDS = {
    name: {"name": name, "better": better, "scope": "image", "reduction": "mean"}
    for name, better in {"up": "higher", "down": "lower", "mixed": "higher", "mute": "unstated"}.items()
}


def run_of(means, n=40, spread=0.01, missing=()):
    """`means`: metric -> explainer -> mean of its scores."""
    noise = np.linspace(-spread, spread, n)
    rows = [
        ("d", "m", explainer, metric, 1, "s", f"{i}", 0, score, "", math.nan, math.nan, 0, "fp32", "cpu", "f", "e")
        for metric, levels in means.items()
        for explainer, level in levels.items()
        for i in range(n)
        for score in [math.nan if (explainer, i) in missing else level + noise[(i * 7 + len(explainer)) % n]]
    ]
    return Run(pd.DataFrame(rows, columns=list(SCORE_COLUMNS)), pd.DataFrame([], columns=list(CURVE_COLUMNS)), CARDS)


LEVELS = {
    "up": {"a": 0.9, "bb": 0.5, "ccc": 0.1},
    "down": {"a": 0.1, "bb": 0.5, "ccc": 0.9},
    "mixed": {"a": 0.5, "bb": 0.9, "ccc": 0.1},
}
EXPLAINERS = ["a", "bb", "ccc"]


def test_ranks_follow_the_direction_of_each_metric():
    table = agreement.places(run_of(LEVELS)).set_index(["metric", "explainer"])["rank"]

    assert [table["up", name] for name in EXPLAINERS] == [1, 2, 3]
    assert [table["down", name] for name in EXPLAINERS] == [1, 2, 3]
    assert [table["mixed", name] for name in EXPLAINERS] == [2, 1, 3]


def test_means_are_over_the_images_on_which_all_are_defined():
    table = agreement.places(run_of(LEVELS, missing={("a", 0), ("bb", 3)}))

    assert set(table["n"][table["metric"] == "up"]) == {38}


def test_tau_is_one_for_equal_orders_and_a_third_with_one_swap():
    found = agreement.taus(agreement.places(run_of(LEVELS)))

    assert found.loc["up", "down"] == pytest.approx(1)
    assert found.loc["up", "mixed"] == pytest.approx(1 / 3)  # 2 of 3 pairs agree, 1 does not
    assert np.allclose(found, found.T)


def test_explainers_can_stand_for_each_other():
    table = agreement.places(run_of(LEVELS))

    assert agreement.tau(table, ("up", EXPLAINERS), ("up", EXPLAINERS[::-1])) == pytest.approx(-1)


def test_an_order_of_nothing_but_ties_has_no_tau():
    flat = run_of({"up": dict.fromkeys(["a", "b"], 0.5), "down": {"a": 0.1, "b": 0.9}}, spread=0.0)

    assert math.isnan(agreement.taus(agreement.places(flat)).loc["up", "down"])


def test_a_conclusion_survives_where_all_metrics_name_the_same_explainer():
    found = agreement.conclusions(run_of(LEVELS), ["up", "down", "mixed"]).set_index(["a", "b"])["verdict"]

    assert found["a", "ccc"] == agreement.SURVIVES
    assert found["a", "bb"] == agreement.REVERSED
    assert agreement.reversals(run_of(LEVELS), "up", "mixed") == 1
    assert agreement.reversals(run_of(LEVELS), "up", "down") == 0


def test_what_no_metric_decides_is_open_and_what_some_leave_open_is_unopposed():
    level = run_of({"up": {"a": 0.5, "b": 0.5}, "down": {"a": 0.5, "b": 0.5}}, spread=0.2)
    partly = run_of({"up": {"a": 0.9, "b": 0.1}, "down": {"a": 0.5, "b": 0.5}}, spread=0.2)

    assert agreement.conclusions(level, ["up", "down"])["verdict"].tolist() == [agreement.OPEN]
    assert agreement.conclusions(partly, ["up", "down"])["verdict"].tolist() == [agreement.UNOPPOSED]


def test_a_metric_without_direction_ranks_nothing():
    assert agreement.places(run_of({"mute": {"a": 0.1, "b": 0.2}})).empty


def test_the_best_explainer_of_each_metric():
    assert list(agreement.best(agreement.places(run_of(LEVELS)))) == [
        ("d", "m", "up", "a"),
        ("d", "m", "down", "a"),
        ("d", "m", "mixed", "bb"),
    ]


def test_models_that_order_explainers_alike_have_tau_one():
    same = run_of(LEVELS)
    other = Run(same.scores.assign(model="n"), same.curves, CARDS)
    turned = Run(same.scores.assign(model="t", score=1 - same.scores["score"]), same.curves, CARDS)
    joined = Run(pd.concat([run.scores for run in (same, other, turned)]), same.curves, CARDS)
    found = agreement.model_taus(agreement.places(joined))

    assert found.loc["m", "n"] == pytest.approx(1)
    assert found.loc["m", "t"] == pytest.approx(-1)


def test_taus_are_scipys_over_the_explainers_that_both_have():
    rng = np.random.default_rng(0)
    ranks = rng.integers(1, 5, (6, 7)).astype(float)  # models x explainers, with ties
    ranks[0, 2] = ranks[3, 5] = np.nan
    rows = [("d", f"m{i}", "q", f"e{j}", 0.0, rank, 9) for i, row in enumerate(ranks) for j, rank in enumerate(row)]
    found = agreement.model_taus(pd.DataFrame(rows, columns=agreement.PLACES)).to_numpy()

    for i, a in enumerate(ranks):
        for j, b in enumerate(ranks):
            both = np.isfinite(a) & np.isfinite(b)
            assert found[i, j] == pytest.approx(kendalltau(a[both], b[both]).statistic)


def test_models_without_a_common_pair_of_explainers_have_no_tau():
    rows = [("d", "m", "q", "a", 0.1, 1.0, 9), ("d", "m", "q", "b", 0.2, 2.0, 9), ("d", "n", "q", "a", 0.1, 1.0, 9)]
    found = agreement.model_taus(pd.DataFrame(rows, columns=agreement.PLACES))

    assert math.isnan(found.loc["m", "n"])
    assert found.loc["m", "m"] == 1
