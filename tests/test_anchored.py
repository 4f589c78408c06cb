"""Scores between the random control and the best there could be, on paper and by brute force."""

import math

import numpy as np
import pandas as pd
import pytest

from xai_bench.readings import anchored
from xai_bench.results import Results
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run

AREA = {"name": "deletion", "better": "lower", "low": 0.0, "high": 1.0, "scope": "image", "family": "faithfulness"}
CARDS = {
    "deletion": AREA,
    "pointing_game": AREA | {"name": "pointing_game", "better": "higher", "family": "localisation"},
    "infidelity": AREA | {"name": "infidelity", "better": "higher", "high": None},
    "sparse": AREA | {"name": "sparse", "family": "other"},
    "unstated": AREA | {"better": "unstated"},
    "roar": AREA | {"name": "roar", "scope": "set"},
}
EXPLAINERS = {"gradcam": {"name": "gradcam"}, "noise": {"name": "random"}, "object": {"name": "region"}}
BETTER = [0.2, 0.3, 0.1, 0.4]
FLOOR = [0.5, 0.6, 0.7, 0.6]


def run_of(metric="deletion", *, explainers=EXPLAINERS, seeds=1, samples=None, **cells):
    rows = [
        ("d", "m", name, metric, 1, "s", sample, 0, score, "", math.nan, 1.0, i % seeds, "fp32", "cpu", "f", "e")
        for name, scores in cells.items()
        for i, score in enumerate(scores)
        for sample in [(samples or [f"{place // seeds}" for place in range(len(scores))])[i]]
    ]
    frame = pd.DataFrame(rows, columns=list(SCORE_COLUMNS))
    return Run(frame, pd.DataFrame([], columns=list(CURVE_COLUMNS)), CARDS, explainers)


def row(run, explainer="gradcam"):
    return Results(run).anchored().set_index("explainer").loc[explainer]


def test_the_share_of_the_way_from_random_to_the_object_on_paper():
    run = run_of(gradcam=[0.5, 0.3], noise=[0.8, 0.6], object=[0.1, 0.3])
    found = row(run)

    assert found["anchored"] == pytest.approx((0.4 - 0.7) / (0.2 - 0.7))
    assert (found["floor"], found["best"], found["best_is"]) == (
        pytest.approx(0.7),
        pytest.approx(0.2),
        "control region",
    )
    assert (found["n"], found["better"], found["note"]) == (2, "lower", "few images")


def test_random_is_0_and_the_object_1_without_any_spread():
    run = run_of(gradcam=BETTER, noise=FLOOR, object=[0.1, 0.2, 0.3, 0.0])

    assert row(run, "noise")[["anchored", "low", "high"]].tolist() == [0, 0, 0]
    assert row(run, "object")[["anchored", "low", "high"]].tolist() == [1, 1, 1]


@pytest.mark.parametrize(("metric", "best"), [("deletion", 0.0), ("pointing_game", 1.0)])
def test_without_the_object_the_best_is_the_bound_in_the_better_direction(metric, best):
    scores = {"gradcam": [0.5, 0.5], "noise": [0.6, 0.6]} if best == 0 else {"gradcam": [0.8, 0.6], "noise": [0.4, 0.4]}
    found = row(run_of(metric, **scores))

    assert (found["best"], found["best_is"]) == (best, "bound")
    assert found["anchored"] == pytest.approx(1 / 6 if best == 0 else 0.5)


def test_an_object_that_wins_everything_and_the_bound_give_the_same():
    scores = {"gradcam": [1.0, 0.0, 1.0, 1.0], "noise": [0.0, 0.0, 1.0, 0.0]}
    told, untold = row(run_of("pointing_game", **scores, object=[1.0] * 4)), row(run_of("pointing_game", **scores))

    assert told[["anchored", "low", "high"]].tolist() == untold[["anchored", "low", "high"]].tolist()
    assert told["anchored"] == pytest.approx(2 / 3)


def test_a_metric_that_the_object_does_not_win_is_anchored_at_its_bound():
    assert row(run_of("sparse", gradcam=BETTER, noise=FLOOR, object=[0.4] * 4))["best_is"] == "bound"


def test_the_interval_is_that_of_the_ratio_over_images_and_pairs_stay_together():
    # score = random - share * (random - object) on each image: the ratio has no spread, however much the images differ
    rng = np.random.default_rng(0)
    noise, best = rng.random(40) + 1, rng.random(40)
    found = row(run_of(gradcam=noise - 0.3 * (noise - best), noise=noise, object=best))

    assert found[["anchored", "low", "high"]].tolist() == pytest.approx([0.3, 0.3, 0.3])


def test_the_interval_is_the_brute_force_one():
    rng = np.random.default_rng(1)
    scores, noise, best = rng.random(30) / 2, rng.random(30) / 2 + 0.5, rng.random(30) / 10
    found = row(run_of(gradcam=scores, noise=noise, object=best))
    draws = [rng.integers(30, size=30) for _ in range(4000)]
    ratios = [(scores[d].mean() - noise[d].mean()) / (best[d].mean() - noise[d].mean()) for d in draws]

    assert [found["low"], found["high"]] == pytest.approx(np.quantile(ratios, [0.025, 0.975]), abs=0.02)
    assert found["low"] < found["anchored"] < found["high"]


def test_only_images_on_which_all_three_are_defined_count():
    run = run_of(gradcam=[0.5, 0.3, math.nan, 0.9], noise=[0.8, 0.6, 0.7, math.nan], object=[0.1, 0.3, 0.1, 0.1])

    assert (row(run)["n"], row(run)["anchored"]) == (2, pytest.approx(0.6))


def test_seeds_of_an_image_are_averaged_before_images_are_counted():
    once = row(run_of(gradcam=[0.5, 0.3], noise=[0.8, 0.6], object=[0.1, 0.3]))
    twice = row(run_of(gradcam=[0.6, 0.4, 0.2, 0.4], noise=[0.8, 0.8, 0.6, 0.6], object=[0.1, 0.1, 0.3, 0.3], seeds=2))

    columns = ["anchored", "low", "high", "n"]
    assert twice[columns].tolist() == pytest.approx(once[columns].tolist())


def test_an_image_that_is_undefined_in_one_seed_does_not_count():
    run = run_of(gradcam=[0.6, 0.4, 0.2, math.nan], noise=[0.8, 0.8, 0.6, 0.6], object=[0.1, 0.1, 0.3, 0.3], seeds=2)

    assert (row(run)["n"], row(run)["anchored"]) == (1, pytest.approx(0.3 / 0.7))


@pytest.mark.parametrize(
    ("metric", "cells", "note"),
    [
        ("deletion", {"gradcam": BETTER}, "no control 'random' in the run"),
        ("infidelity", {"gradcam": BETTER, "noise": FLOOR}, "no bound and no control 'region'"),
        ("deletion", {"gradcam": BETTER, "noise": [0.0] * 4}, "bound is not shown to be better than random"),
        (
            "deletion",
            {"gradcam": BETTER, "noise": [0.5, 0.1, 0.4, 0.2], "object": [0.2, 0.5, 0.2, 0.3]},
            "control region is not shown to be better than random",
        ),
        (
            "pointing_game",
            {"gradcam": BETTER, "noise": FLOOR, "object": [0.4] * 4},
            "control region is not shown to be better than random",
        ),
        ("deletion", {"gradcam": [math.nan] * 4, "noise": FLOOR}, "all undefined"),
    ],
)
def test_where_there_is_nothing_to_measure_by_it_is_undefined_and_says_why(metric, cells, note):
    found = row(run_of(metric, **cells))

    assert found["note"] == note
    assert found[["anchored", "low", "high"]].isna().all()


@pytest.mark.parametrize(
    ("metric", "sample", "note"), [("deletion", "a", "one image"), ("roar", "*", "one number of the whole set")]
)
def test_one_number_has_no_interval(metric, sample, note):
    found = row(run_of(metric, samples=[sample], gradcam=[0.5], noise=[0.8], object=[0.2]))

    assert found["anchored"] == pytest.approx(0.5)
    assert found[["low", "high"]].isna().all()
    assert found["note"] == note


def test_metrics_without_a_direction_are_left_out():
    assert anchored(run_of("unstated", gradcam=BETTER, noise=FLOOR)).empty
