"""The sentences at the top of the page, about runs whose outcome is known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from synthetic_run import CARDS, KINDS, make_run, score_row

from xai_bench.reports.analysis import analyse
from xai_bench.reports.words import summary
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run


def run_of(*cells, models=("m",)):
    """Insertion of (explainer, mean) on 40 images with a little noise."""
    rng = np.random.default_rng(0)
    rows = [
        score_row("planted", model, name, "insertion", f"{i}", mean + rng.normal(0, 0.02))
        for model in models
        for name, mean in cells
        for i in range(40)
    ]
    kinds = {name: {"kind": kind} for name, kind in KINDS.items()}
    return Run(
        pd.DataFrame(rows, columns=list(SCORE_COLUMNS)), pd.DataFrame([], columns=list(CURVE_COLUMNS)), CARDS, kinds
    )


@pytest.fixture(scope="module")
def whole():
    return summary(analyse(make_run(40, datas=("planted/test",))))


def test_what_was_compared_is_counted_and_named(whole):
    assert whole.compared == (
        "Compared: 2 explainers (energy and gradcam) and 2 controls (random and centre) of 2 models (plain and ersm), "
        "by 5 metrics, on 40 images of planted/test."
    )


def test_undefined_scores_are_counted_with_their_reasons(whole):
    # gradcam: images 7 and 27 of both models by two metrics; pointing_game: images 11 of 3 + 4 explainers
    # of 7 cells x 3 metrics x 40 images, top1 of 2 models x 40, and 2 entropies
    assert whole.undefined == (
        "15 of 922 scores are undefined, in deletion, insertion and pointing_game: map is constant (8) and no region "
        "(7)."
    )


def test_it_reads_as_one_paragraph(whole):
    assert whole.text == " ".join([whole.compared, *whole.certain, whole.undefined])
    assert all(text.endswith(".") and text[0] != " " for text in (whole.compared, *whole.certain, whole.undefined))
    assert "nan" not in whole.text


def test_the_leader_of_a_model_and_what_it_beats_is_said():
    certain = summary(analyse(run_of(("ig", 0.3), ("gradcam", 0.6), ("random", 0.1)))).certain

    assert certain == (
        "3 of 3 differences between explainers of a model are significant (paired by image, Holm-corrected, 5 %).",
        "For m, gradcam is best or level with the best in 1 of 1 ranking (one per metric and data set).",
        "The best explainer beats every control in 1 of 1 ranking.",
    )


def test_where_nothing_is_decided_nobody_leads():
    certain = summary(analyse(run_of(("ig", 0.5), ("gradcam", 0.5), ("random", 0.5)))).certain

    assert certain == (
        "None of 3 differences between explainers of a model is significant.",
        "For m, none of 1 ranking is decided: the images cannot tell its explainers apart.",
        "The best explainer beats every control in 0 of 1 ranking, not on insertion for m.",
    )


def test_a_control_that_leads_is_marked_as_one():
    certain = summary(analyse(run_of(("ig", 0.3), ("random", 0.6)))).certain

    assert "random (control) is best" in certain[1]
    assert "0 of 1 ranking, not on insertion for m" in certain[2]


def test_explainers_that_lead_together_are_named_together():
    certain = summary(analyse(run_of(("ig", 0.6), ("gradcam", 0.6), ("random", 0.1)))).certain

    assert "For m, gradcam and ig are each best or level with the best in 1 of 1 ranking" in certain[1]


def test_many_models_are_not_listed_one_by_one():
    names = tuple(f"m{number}" for number in range(6))
    found = summary(analyse(run_of(("ig", 0.6), ("random", 0.1), models=names)))

    assert "of 6 models (m0, m1 and 4 more)" in found.compared
    assert "3 more models below." in found.certain


def test_one_explainer_of_one_model_makes_no_ranking():
    found = summary(analyse(run_of(("ig", 0.6))))

    assert found.certain == ()
    assert found.compared == "Compared: 1 explainer (ig) of 1 model (m), by 1 metric, on 40 images of planted."
    assert found.undefined == "Every score is defined."


def test_nothing_defined_is_said():
    run = run_of(("ig", 0.6), ("random", 0.1))
    run = dataclasses.replace(run, scores=run.scores.assign(score=np.nan, reason="map is constant"))
    found = summary(analyse(run))

    assert found.undefined == "80 of 80 scores are undefined, in insertion: map is constant (80)."
    assert found.certain == ()
