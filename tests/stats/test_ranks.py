"""Ranks over images against scipy, scikit-posthocs and published numbers."""

import numpy as np
import pytest
import scikit_posthocs
from made_runs import run_of
from scipy import stats

from xai_bench.errors import UnknownNameError
from xai_bench.stats import friedman, mean_ranks
from xai_bench.stats.ranks import critical_difference

SCORES = np.random.default_rng(0).normal([0.0, 0.3, 0.5, 0.6], 1.0, (25, 4))


def compared(scores, metric="quality"):
    return run_of(*(("m", name, metric, column) for name, column in zip("abcdefgh", scores.T, strict=False)))


def ranks_of(run):
    return mean_ranks(run).set_index("name")["rank"].to_dict()


def test_rank_one_is_best_in_the_direction_of_the_metric():
    assert ranks_of(compared(np.tile([0.1, 0.5, 0.9], (4, 1)))) == {"a": 3, "b": 2, "c": 1}
    assert ranks_of(compared(np.tile([0.1, 0.5, 0.9], (4, 1)), "damage")) == {"a": 1, "b": 2, "c": 3}


def test_ties_share_a_rank():
    assert ranks_of(compared(np.tile([0.5, 0.5, 0.9], (4, 1)))) == {"a": 2.5, "b": 2.5, "c": 1}


def test_only_images_on_which_all_are_defined_count():
    scores = SCORES.copy()
    scores[3, 1] = np.nan

    expected = stats.rankdata(-np.delete(SCORES, 3, axis=0), axis=1).mean(axis=0)
    assert list(ranks_of(compared(scores)).values()) == pytest.approx(expected)
    assert set(mean_ranks(compared(scores))["n"]) == {24}


def test_friedman_is_scipys():
    row = friedman(compared(SCORES)).iloc[0]
    expected = stats.friedmanchisquare(*SCORES.T)

    assert (row["statistic"], row["p"]) == pytest.approx(tuple(expected))
    assert (row["names"], row["n"], row["note"]) == (4, 25, "")


def test_an_order_that_is_always_the_same_has_the_highest_statistic():
    row = friedman(compared(np.tile([0.1, 0.5, 0.9], (10, 1)))).iloc[0]

    assert row["statistic"] == pytest.approx(10 * (3 - 1))


@pytest.mark.parametrize(("names", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (6, 2.850), (10, 3.164)])
def test_the_critical_difference_is_demsars(names, q):
    """Demsar (2006), table 5 (a)."""
    assert critical_difference(names, 14) == pytest.approx(q * np.sqrt(names * (names + 1) / (6 * 14)), rel=5e-4)


def test_names_further_apart_than_the_critical_difference_are_those_of_nemenyis_test():
    ranks = np.array(list(ranks_of(compared(SCORES)).values()))
    apart = np.abs(ranks[:, None] - ranks) > friedman(compared(SCORES)).iloc[0]["critical_difference"]

    expected = scikit_posthocs.posthoc_nemenyi_friedman(SCORES).to_numpy() < 0.05
    assert (apart == expected).all()
    assert apart.any()


def test_of_hits_it_is_cochrans_q():
    scores = (np.random.default_rng(0).random((40, 3)) < [0.4, 0.6, 0.8]).astype(float)
    wins, k = scores.sum(axis=0), 3
    rows = scores.sum(axis=1)
    q = (k - 1) * (k * (wins**2).sum() - wins.sum() ** 2) / (k * rows.sum() - (rows**2).sum())

    assert friedman(compared(scores, "hit")).iloc[0]["statistic"] == pytest.approx(q)


def test_two_names_have_ranks_but_no_test_of_their_own():
    row = friedman(compared(SCORES[:, :2])).iloc[0]

    assert np.isnan(row["p"])
    assert "two names" in row["note"]
    assert len(mean_ranks(compared(SCORES[:, :2]))) == 2


def test_without_an_image_on_which_all_are_defined_there_is_a_note():
    scores = np.where(np.eye(4, dtype=bool)[:, :3], np.nan, SCORES[:4, :3])[:3]
    row = friedman(compared(scores)).iloc[0]

    assert (row["n"], row["note"]) == (0, "no image on which all are defined")
    assert mean_ranks(compared(scores))["rank"].isna().all()


def test_all_ties_are_no_difference():
    row = friedman(compared(np.full((5, 3), 0.5))).iloc[0]

    assert (row["statistic"], row["p"], row["note"]) == (0, 1, "all ties")


def test_a_metric_without_direction_ranks_nothing():
    assert friedman(compared(SCORES, "mute")).empty
    assert mean_ranks(compared(SCORES, "mute")).empty


def test_models_are_ranked_under_an_explainer():
    run = run_of(*((model, "e", "quality", column) for model, column in zip("xyz", SCORES.T, strict=False)))

    assert friedman(run, "model").iloc[0]["fixed"] == "e"
    assert friedman(run).empty


def test_an_unknown_comparison_is_refused():
    with pytest.raises(UnknownNameError, match="unknown comparison 'explaner'"):
        friedman(compared(SCORES), "explaner")


def test_a_name_without_any_score_does_not_stand_in_the_way_of_the_others():
    scores = {"a": [0.9, 0.8, 0.7], "b": [0.5, 0.6, 0.5], "c": [0.1, 0.2, 0.3], "energy": [np.nan] * 3}
    run = run_of(*(("m", name, "share", values) for name, values in scores.items()))
    test = friedman(run).iloc[0]

    assert dict(zip(*mean_ranks(run)[["name", "rank"]].to_numpy().T, strict=True)) == {"a": 1, "b": 2, "c": 3}
    assert (test["names"], test["n"]) == (3, 3)
    assert test["note"] == "without energy, for lack of any score"
