"""Several seeds: what images differ by is kept apart from what seeds differ by."""

from itertools import product

import numpy as np
import pytest
from made_runs import run_of
from scipy import stats

from xai_bench.errors import RunError
from xai_bench.stats import aggregates, friedman, improvement, mean_ranks, paired, profiles, summary
from xai_bench.stats.estimates import crossed

IMAGES = np.random.default_rng(0).normal(0.5, 0.1, 40)


def seeded(cells, metric="quality"):
    """`cells`: explainer -> one array of scores per seed."""
    each = ((name, seed, scores) for name, seeds in cells.items() for seed, scores in enumerate(seeds))
    return run_of(*(("m", name, metric, scores, seed) for name, seed, scores in each))


def test_the_spread_over_images_is_kept_apart_from_that_over_seeds():
    row = summary(seeded({"e": [IMAGES - 0.1, IMAGES, IMAGES + 0.1]})).iloc[0]

    assert row["mean"] == pytest.approx(IMAGES.mean())
    assert (row["n"], row["seeds"]) == (40, 3)
    assert row["sd_images"] == pytest.approx(IMAGES.std(ddof=1))
    assert row["sd_seeds"] == pytest.approx(0.1)


def test_one_seed_has_no_spread_over_seeds():
    row = summary(seeded({"e": [IMAGES]})).iloc[0]

    assert (row["seeds"], np.isnan(row["sd_seeds"])) == (1, True)


def test_seeds_that_agree_leave_students_interval_over_images():
    row = summary(seeded({"e": [IMAGES, IMAGES]})).iloc[0]
    expected = stats.ttest_1samp(IMAGES, 0).confidence_interval()

    assert (row["low"], row["high"]) == pytest.approx(tuple(expected))


def test_images_that_agree_leave_students_interval_over_seeds():
    levels = np.array([0.3, 0.5, 0.6])
    found = crossed(np.repeat(levels[:, None], 30, axis=1)[:, :, None])
    expected = stats.ttest_1samp(levels, 0)

    assert (found.low[0], found.high[0]) == pytest.approx(tuple(expected.confidence_interval()))
    assert found.p[0] == pytest.approx(expected.pvalue)


def test_one_score_everywhere_has_no_spread():
    row = summary(seeded({"e": [np.full(5, 0.3), np.full(5, 0.3)]})).iloc[0]

    assert (row["low"], row["high"], row["note"]) == (pytest.approx(0.3), pytest.approx(0.3), "no spread")


def test_an_image_counts_where_every_seed_defines_it():
    other = IMAGES.copy()
    other[[0, 7]] = np.nan
    row = summary(seeded({"e": [IMAGES, other]})).iloc[0]

    assert (row["n"], row["undefined"]) == (38, 2)
    assert row["mean"] == pytest.approx(np.delete(IMAGES, [0, 7]).mean())
    assert "no region (2)" in row["note"]


def test_a_seed_in_which_nothing_is_defined_is_not_forgotten():
    row = summary(seeded({"e": [IMAGES, np.full(40, np.nan)]})).iloc[0]

    assert (row["n"], row["undefined"], row["seeds"]) == (0, 40, 2)


def test_a_cell_of_one_seed_beside_cells_of_several_is_as_if_alone():
    table = summary(seeded({"a": [IMAGES, IMAGES + 0.1], "b": [IMAGES]})).set_index("explainer")
    alone = summary(seeded({"b": [IMAGES]})).iloc[0]

    assert table.loc["b", ["mean", "low", "high", "seeds"]].tolist() == alone[["mean", "low", "high", "seeds"]].tolist()


def test_a_difference_that_seeds_do_not_share_is_not_decided():
    noise = np.random.default_rng(1).normal(0, 0.01, (2, 40))
    apart = paired(seeded({"a": [IMAGES + 0.1, IMAGES - 0.06], "b": list(IMAGES + noise)})).iloc[0]
    single = paired(seeded({"a": [IMAGES + 0.1], "b": [IMAGES + noise[0]]})).iloc[0]

    assert (single["better"], apart["better"]) == ("a", "")
    assert apart["low"] < 0 < apart["high"]
    assert (apart["seeds"], apart["agree"]) == (2, 1)


def test_a_difference_that_seeds_share_is_decided():
    noise = np.random.default_rng(1).normal(0, 0.01, (3, 40))
    row = paired(seeded({"a": list(IMAGES + 0.1 + noise), "b": [IMAGES] * 3})).iloc[0]

    assert (row["better"], row["agree"], row["n"]) == ("a", 3, 40)
    assert row["difference"] == pytest.approx(0.1 + noise.mean())


def test_seeds_are_paired_with_themselves():
    levels = [IMAGES, IMAGES + 0.2, IMAGES - 0.3]
    row = paired(seeded({"a": [level + 0.1 for level in levels], "b": levels})).iloc[0]

    assert (row["low"], row["high"]) == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize(("metric", "high"), [("hit", 1.0), ("share", 0.5)])
def test_seeds_that_agree_do_not_make_two_images_many(metric, high):
    cells = {"a": [high, high], "b": [high - 0.25 * (metric == "share") - (metric == "hit")] * 2}
    several = seeded({name: [scores] * 3 for name, scores in cells.items()}, metric)
    one = seeded({name: [scores] for name, scores in cells.items()}, metric)
    row, alone = paired(several).iloc[0], paired(one).iloc[0]

    assert row["p"] == alone["p"] == 0.5  # 2 of 2: twice a quarter
    assert (row["low"], row["high"]) == (alone["low"], alone["high"])
    assert row["better"] == ""


def test_seeds_that_agree_give_no_more_false_alarms_than_one():
    """Every outcome of three images with hits that differ by -1, 0 or 1: none is enough for p < 0.05."""
    for pattern in product((-1, 0, 1), repeat=3):
        apart = np.array(pattern)
        row = paired(seeded({"a": [apart > 0] * 3, "b": [apart < 0] * 3}, "hit")).iloc[0]
        assert row["p"] >= 0.25


def test_all_hits_under_every_seed_are_not_certain():
    row = summary(seeded({"e": [np.ones(8)] * 3}, "hit")).iloc[0]

    assert (row["low"], row["high"]) == pytest.approx((0.6756, 1), abs=1e-4)  # Wilson: 8 of 8
    assert row["note"] == "few images"


def test_several_seeds_never_say_more_than_their_images_means():
    rng = np.random.default_rng(2)
    for n in (3, 8, 30):
        seeds = [rng.normal(0.1, 0.2, n) for _ in range(3)]
        both = paired(seeded({"a": seeds, "b": [np.zeros(n)] * 3})).iloc[0]
        means = paired(seeded({"a": [np.mean(seeds, axis=0)], "b": [np.zeros(n)]})).iloc[0]

        assert both["p"] >= means["p"]
        assert both["low"] - 1e-9 <= means["low"] < means["high"] <= both["high"] + 1e-9


def test_images_needed_are_not_named_where_trainings_differ_too():
    a = [IMAGES + 0.1, IMAGES + 0.2]

    assert np.isnan(paired(seeded({"a": a, "b": [IMAGES[::-1]] * 2})).iloc[0]["needed"])
    assert paired(seeded({"a": a[:1], "b": [IMAGES[::-1]]})).iloc[0]["needed"] > 5


def test_ranks_over_several_seeds_have_no_test():
    """By image, one lucky training would rank first everywhere."""
    luck = np.random.default_rng(3).normal(0, 1, (3, 2))
    run = seeded({name: list(IMAGES + shift[:, None]) for name, shift in zip("abc", luck, strict=True)})
    row = friedman(run).iloc[0]

    assert np.isnan([row["statistic"], row["p"], row["critical_difference"]]).all()
    assert row["note"] == "several seeds: ranks of their means, without a test"
    assert mean_ranks(run)["rank"].notna().all()


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("statistic", [aggregates, improvement, profiles], ids=lambda statistic: statistic.__name__)
def test_aggregates_say_of_how_many_seeds_they_are(statistic, seeds):
    found = statistic(seeded({"a": [IMAGES] * seeds, "b": [IMAGES + 0.1] * seeds}))

    assert set(found["seeds"]) == {seeds}
    assert found["seeds"].dtype.kind == "i"


def test_a_set_metric_of_several_seeds_stays_within_its_bounds():
    cells = (("m", "none", "class_entropy", [value], seed) for seed, value in enumerate((0.0, 0.1)))

    assert summary(run_of(*cells)).iloc[0]["low"] == 0


def test_only_seeds_that_both_have_are_compared():
    row = paired(seeded({"a": [IMAGES + 0.1, IMAGES + 9], "b": [IMAGES]})).iloc[0]

    assert (row["seeds"], row["difference"]) == (1, pytest.approx(0.1))


def test_ranks_and_aggregates_are_of_the_images_means_over_seeds():
    run = seeded({"a": [IMAGES, IMAGES + 0.4], "b": [IMAGES + 0.1] * 2, "c": [IMAGES - 1] * 2})

    assert mean_ranks(run)["rank"].tolist() == [1, 2, 3]
    assert friedman(run).iloc[0]["n"] == 40
    assert aggregates(run).iloc[0]["mean"] == pytest.approx(IMAGES.mean() + 0.2)


def test_a_set_metric_of_several_seeds_is_judged_over_seeds():
    cells = (("m", "none", "class_entropy", [value], seed) for seed, value in enumerate((1.0, 1.2, 1.1)))
    row = summary(run_of(*cells)).iloc[0]
    expected = stats.ttest_1samp([1.0, 1.2, 1.1], 0).confidence_interval()

    assert (row["low"], row["high"]) == pytest.approx(tuple(expected))
    assert (row["note"], row["seeds"]) == ("interval over seeds", 3)


def test_an_image_twice_in_one_seed_is_refused():
    with pytest.raises(RunError, match="twice for image '0'"):
        summary(run_of(("m", "e", "quality", [0.1], 3), ("m", "e", "quality", [0.2], 3)))
