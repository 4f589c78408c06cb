"""Nothing to say, too little to say, or too much: a note and no exception, and an end in seconds."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from made_runs import run_of

from xai_bench import agreement, stats
from xai_bench.errors import UnknownNameError
from xai_bench.stats.pairs import SHORTENED

EVERY = (
    *(stats.summary, stats.paired, stats.mean_ranks, stats.friedman, stats.aggregates, stats.improvement),
    *(stats.profiles, stats.curve_bands, agreement.places),
)
NOTHING = np.full(3, np.nan)
POOR = {
    "no rows": [],
    "everything undefined": [("m", e, "share", NOTHING) for e in "abc"],
    "one image": [("m", e, "share", [0.5]) for e in "abc"],
    "two images": [("m", e, "share", [0.1 * i, 0.5]) for i, e in enumerate("abc")],
    "all ties": [("m", e, "share", [0.5] * 6) for e in "abc"],
    "infinite": [("m", e, "quality", [np.inf, -np.inf, 1.0]) for e in "abc"],
    "huge": [("m", e, "quality", [1e100, -1e100, 1e-100]) for e in "abc"],
    "no hit": [("m", e, "hit", [0, 0, 0]) for e in "abc"],
}


@pytest.mark.parametrize("cells", POOR.values(), ids=POOR)
@pytest.mark.parametrize("statistic", EVERY, ids=lambda statistic: statistic.__name__)
def test_poor_scores_are_no_exception(statistic, cells):
    table = statistic(run_of(*cells))

    assert list(table.columns)
    assert not table[[name for name in ("low", "high") if name in table]].isin([np.inf, -np.inf]).any(axis=None)


def test_two_images_of_a_bounded_score_have_an_interval_within_the_bounds():
    row = stats.summary(run_of(("m", "e", "share", [0.1, 0.9]))).iloc[0]

    assert (row["low"], row["high"]) == (0, 1)  # Student's would be -4.6 to 5.6
    assert row["note"] == "few images"


def many(count, **more):
    noise = np.random.default_rng(0).normal(0, 0.05, (count, 12))
    return run_of(*(("m", f"e{i}", "share", 0.5 + 0.2 * (i == 7) + noise[i]) for i in range(count)), **more)


def test_many_names_are_compared_with_the_best_and_the_controls_only():
    run = many(40, kinds={"e3": "control", "e4": "post-hoc"})
    table = stats.paired(run)
    means = stats.summary(run).set_index("explainer")["mean"]
    best = means.idxmax()

    assert len(table) == 39 + 38
    assert ((table[["a", "b"]] == best) | (table[["a", "b"]] == "e3")).any(axis=1).all()
    assert (table["note"] == SHORTENED).all()


@pytest.mark.parametrize("direction", ["share", "loss"])
def test_the_best_of_many_names_is_no_ceiling(direction):
    noise, sign = np.random.default_rng(0).normal(0, 0.01, (36, 20)), 1 if direction == "share" else -1
    names = ["region", *(f"e{i:02}" for i in range(35))]
    run = run_of(
        *(("m", e, direction, 0.5 + sign * (0.4 - 0.01 * i + noise[i])) for i, e in enumerate(names)),
        kinds={"region": "ceiling"},
    )
    pairs, table = stats.paired(run), stats.summary(run)
    rivals = table[table["explainer"] != "region"]
    marks = stats.top_marks(rivals, pairs, pairs[:0])

    assert len(pairs) == 35 + 34
    assert marks.sum() < 10
    assert marks.iloc[0]  # e00


def test_thirty_names_are_all_compared():
    table = stats.paired(many(30))

    assert len(table) == 30 * 29 / 2
    assert (table["note"] == "").all()


def test_thousands_of_models_end_in_seconds():
    scores = np.random.default_rng(0).random((2000, 2, 6))
    run = run_of(*((f"m{i}", e, "share", scores[i, j]) for i in range(2000) for j, e in enumerate("ab")))

    assert len(stats.summary(run)) == 4000
    assert len(stats.paired(run, "model")) == 2 * 1999
    assert len(stats.paired(run)) == 2000
    assert agreement.model_taus(agreement.places(run)).shape == (2000, 2000)


def test_an_unknown_test_is_refused_by_name():
    with pytest.raises(UnknownNameError, match="unknown test 'wilcoxn'; did you mean 'wilcoxon'"):
        stats.paired(many(2), test="wilcoxn")


@pytest.mark.parametrize("statistic", EVERY, ids=lambda statistic: statistic.__name__)
def test_names_as_a_store_gives_them_may_be_more_than_a_byte_can_count(statistic):
    """Read from a folder, names are categories; pandas codes 127 of them in int8, and more in int16."""
    plain = run_of(*((f"m{number}", e, "hit", [1, 0]) for number in range(130) for e in "ab"))
    names = ["data", "model", "explainer", "metric", "version", "spec", "sample", "reason"]
    stored = dataclasses.replace(plain, scores=plain.scores.astype(dict.fromkeys(names, "category")))

    table = statistic(stored)

    assert table.astype(object).equals(statistic(plain).astype(object))
    assert not [name for name in table if isinstance(table[name].dtype, pd.CategoricalDtype)]
