"""Faithfulness scores against the clean output and against the random control, on paper."""

import math

import pandas as pd
import pytest

from xai_bench.readings import readings
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run

AREA = {"name": "deletion", "better": "lower", "scope": "image", "family": "faithfulness", "degree": 1}
CARDS = {
    "deletion": AREA,
    "infidelity": AREA | {"name": "infidelity", "degree": 2},
    "saco": AREA | {"name": "saco", "better": "higher", "degree": 0},
    "pointing_game": AREA | {"name": "pointing_game", "family": "localisation", "degree": None},
}
EXPLAINERS = {"gradcam": {"name": "gradcam"}, "noise": {"name": "random"}}


def run_of(*cells, explainers=EXPLAINERS):
    """Cells are (model, explainer, metric, scores, clean outputs)."""
    rows = [
        ("d", model, explainer, metric, 1, "s", f"{i}", 0, score, "", math.nan, clean, 0, "fp32", "cpu", "f", "e")
        for model, explainer, metric, scores, cleans in cells
        for i, (score, clean) in enumerate(zip(scores, cleans, strict=True))
    ]
    frame = pd.DataFrame(rows, columns=list(SCORE_COLUMNS))
    return Run(frame, pd.DataFrame([], columns=list(CURVE_COLUMNS)), CARDS, explainers)


def reading(run, name, explainer="gradcam", metric="deletion"):
    found = readings(run)
    picked = found[(found["reading"] == name) & (found["explainer"] == explainer) & (found["metric"] == metric)]
    return picked.iloc[0]


def test_over_clean_divides_each_image_by_its_own_clean_output():
    row = reading(run_of(("m", "gradcam", "deletion", [0.2, 0.3], [0.8, 0.5])), "over clean")

    assert row["mean"] == pytest.approx((0.25 + 0.6) / 2)
    assert (row["n"], row["better"]) == (2, "lower")


def test_a_score_of_squares_is_divided_by_the_square():
    row = reading(run_of(("m", "gradcam", "infidelity", [0.2], [0.5])), "over clean", metric="infidelity")

    assert row["mean"] == pytest.approx(0.8)


def test_a_score_in_which_the_output_cancels_stays_as_it_is_and_says_so():
    row = reading(run_of(("m", "gradcam", "saco", [0.2, 0.4], [0.5, 0.5])), "over clean", metric="saco")

    assert row["mean"] == pytest.approx(0.3)
    assert "already relative" in row["note"]


def test_a_clean_output_that_is_not_positive_makes_the_reading_undefined():
    row = reading(run_of(("m", "gradcam", "deletion", [0.2, 0.3, 0.4], [-1.0, 0.0, 0.5])), "over clean")

    assert (row["mean"], row["n"], row["undefined"]) == (pytest.approx(0.8), 1, 2)
    assert "clean output is not positive" in row["note"]


def test_minus_random_is_paired_by_image_and_by_model():
    run = run_of(
        ("m", "gradcam", "deletion", [0.2, 0.3], [1, 1]),
        ("m", "noise", "deletion", [0.5, 0.4], [1, 1]),
        ("other", "noise", "deletion", [0.9, 0.9], [1, 1]),
    )

    assert reading(run, "minus random")["mean"] == pytest.approx((-0.3 - 0.1) / 2)
    assert reading(run, "minus random", "noise")["mean"] == 0


def test_an_image_undefined_in_the_control_leaves_the_pairs():
    run = run_of(("m", "gradcam", "deletion", [0.2, 0.3], [1, 1]), ("m", "noise", "deletion", [0.5, math.nan], [1, 1]))

    assert (reading(run, "minus random")["mean"], reading(run, "minus random")["undefined"]) == (pytest.approx(-0.3), 1)


def test_without_the_control_the_reading_says_so():
    run = run_of(("m", "gradcam", "deletion", [0.2, 0.3], [1, 1]), explainers={"gradcam": {"name": "gradcam"}})

    assert math.isnan(reading(run, "minus random")["mean"])
    assert "no control 'random' in the run" in reading(run, "minus random")["note"]


def test_only_faithfulness_is_read_so():
    assert readings(run_of(("m", "gradcam", "pointing_game", [1.0], [math.nan]))).empty


def test_a_less_confident_model_with_the_same_curve_has_the_same_reading():
    sure, unsure = ([0.4, 0.2], [0.8, 0.4]), ([0.2, 0.1], [0.4, 0.2])
    run = run_of(("sure", "gradcam", "deletion", *sure), ("unsure", "gradcam", "deletion", *unsure))
    means = readings(run).query("reading == 'over clean'").set_index("model")["mean"]

    assert means["sure"] == pytest.approx(means["unsure"])
