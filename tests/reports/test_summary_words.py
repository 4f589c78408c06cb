"""The sentences at the top of the page, about runs whose outcome is known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from synthetic_run import CARDS, KINDS, make_run, score_row

from xai_bench.reports.analysis import analyse
from xai_bench.reports.words import summary
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run


def run_of(*cells, models=("m",), data="planted"):
    """Insertion of (explainer, mean) on 40 images with a little noise."""
    rng = np.random.default_rng(0)
    rows = [
        score_row(data, model, name, "insertion", f"{i}", mean + rng.normal(0, 0.02))
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


def test_a_control_that_is_not_beaten_is_not_hidden_by_one_that_is():
    certain = summary(analyse(run_of(("ig", 0.5), ("centre", 0.5), ("random", 0.1)))).certain

    assert certain[-1] == "The best explainer beats every control in 0 of 1 ranking, not on insertion for m."


def test_controls_and_the_ceiling_are_no_differences_between_explainers():
    run = run_of(("ig", 0.5), ("gradcam", 0.3), ("centre", 0.2), ("random", 0.1), ("region", 0.9))
    told = dict(run.explainers) | {"region": {"kind": "ceiling"}}
    certain = summary(analyse(dataclasses.replace(run, explainers=told))).certain

    assert certain[0].startswith("5 of 5 differences between explainers")  # of 10 without region's 4 and centre's 1


def test_the_better_models_are_named_the_most_telling_metric_first():
    run = whole_of({"insertion": (0.4, 0.6), "top1": (1.0, 0.0), "deletion": (0.6, 0.2), "novel": (0.9, 0.5)})
    certain = summary(analyse(run)).certain

    assert certain[0].startswith("4 of 4 differences between models are significant (paired by image, ")
    assert certain[1] == (
        'Better models: old beats "new, b" on top1 (planted: +1.000 [0.860, 1.000]); "new, b" beats old on deletion '
        'with ig (planted: -0.400 [-0.400, -0.400]); "new, b" beats old on insertion with ig (planted: '
        "+0.200 [0.200, 0.200]); and 1 more."
    )


def whole_of(scores):
    """metric -> constant scores of the models `old` and `new, b` on 40 images."""
    rows = [
        score_row("planted", model, "none" if metric == "top1" else "ig", metric, f"{image}", values[place])
        for metric, values in scores.items()
        for place, model in enumerate(("old", "new, b"))
        for image in range(40)
    ]
    cards = CARDS | {"novel": {"name": "novel", "better": "higher", "scope": "image"}}
    return Run(pd.DataFrame(rows, columns=list(SCORE_COLUMNS)), pd.DataFrame([], columns=list(CURVE_COLUMNS)), cards)


def test_data_of_one_size_share_their_count_and_a_comma_is_quoted():
    first, second, less = (run_of(("ig", 0.5), data=name).scores for name in ("a", "b, grey", "c"))
    run = run_of(("ig", 0.5))

    def said(*frames):
        scores = pd.concat(frames, ignore_index=True)
        return summary(analyse(dataclasses.replace(run, scores=scores))).compared.partition(", on ")[2]

    assert said(first, second) == '40 images of each of a and "b, grey".'
    assert said(first, second, less.iloc[:7]) == '40 images of a, 40 images of "b, grey" and 7 images of c.'


def test_a_score_that_is_not_finite_is_not_called_defined():
    run = run_of(("ig", 0.6))
    scores = run.scores.assign(score=[np.inf, *run.scores["score"][1:]])

    assert summary(analyse(dataclasses.replace(run, scores=scores))).undefined == (
        "1 of 40 scores is undefined, in insertion: no reason given (1)."
    )


def test_several_seeds_are_said_where_the_tests_are():
    run = run_of(("ig", 0.3), ("random", 0.6))
    again = run.scores.assign(seed=1, score=run.scores["score"] + 0.001)
    found = summary(analyse(dataclasses.replace(run, scores=pd.concat([run.scores, again], ignore_index=True))))

    assert "under 2 seeds" in found.compared
    assert "(paired by image over 2 seeds, Holm-corrected, 5 %)" in found.certain[0]


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
