"""Sentences about paired rows whose numbers are written down here."""

import math

import numpy as np
import pandas as pd
import pytest
from synthetic_run import KINDS, make_run, score_row

from xai_bench.grammar import about, counted, percent, quoted, series
from xai_bench.reports.analysis import analyse
from xai_bench.reports.words import comparison, sentences
from xai_bench.reports.words.sentences import verdict, with_tests
from xai_bench.results import Results
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run

LOWER, HIGHER, OPEN = ({"better": word} for word in ("lower", "higher", "unstated"))
ROW = {"across": "explainer", "data": "planted", "metric": "deletion", "fixed": "resnet18", "a": "Grad-CAM", "b": "IG"}
ROW |= {"mean_a": 0.2, "mean_b": 0.23, "difference": -0.03, "low": -0.05, "high": -0.01, "p": 1e-4, "p_holm": 1e-3}
ROW |= {"n": 200, "undefined": 0, "better": "a", "note": "", "effect": -0.4, "needed": 90.0}
OPEN_ROW = {"low": -0.08, "high": 0.02, "p": 0.07, "p_holm": 0.21, "better": ""}


def said(card=LOWER, **changed):
    return comparison(pd.Series(ROW | changed), card)


def test_the_winner_stands_first_with_the_difference_seen_from_it():
    sentence = "On planted, Grad-CAM beats IG on deletion for resnet18: -0.030 [-0.050, -0.010], n = 200."

    assert said() == sentence
    assert said(a="IG", b="Grad-CAM", difference=0.03, low=0.01, high=0.05, better="b") == sentence


def test_where_higher_is_better_the_winner_is_ahead():
    text = said(HIGHER, metric="insertion", difference=-0.03, better="b")

    assert text == "On planted, IG beats Grad-CAM on insertion for resnet18: +0.030 [0.010, 0.050], n = 200."


@pytest.mark.parametrize(
    ("changed", "held"),
    [
        ({"across": "model", "fixed": "ig", "a": "r18", "b": "r50"}, "r18 beats r50 on deletion with ig:"),
        ({"across": "model", "fixed": "none", "metric": "top1"}, "beats IG on top1: "),
        ({"across": "run", "fixed": "ig of r18", "a": "new", "b": "old"}, "new beats old on deletion for ig of r18:"),
    ],
    ids=["models", "models without maps", "runs"],
)
def test_what_both_have_in_common_is_named(changed, held):
    assert held in said(**changed)


def test_several_seeds_say_how_many_of_them_agree():
    assert said(seeds=3, agree=2).endswith("-0.030 [-0.050, -0.010], n = 200, 2 of 3 seeds agree.")
    assert "seed" not in said(seeds=1, agree=1)


def test_what_the_images_cannot_tell_is_said_with_how_many_would():
    text = said(**OPEN_ROW, needed=1234.5)

    assert "Grad-CAM cannot be told from IG on deletion for resnet18: -0.030 [-0.080, 0.020], n = 200, p = 0.21" in text
    assert text.endswith("; about 1,300 images would be needed to tell it by itself.")


@pytest.mark.parametrize("needed", [math.nan, 90.0])
def test_fewer_needed_than_there_are_is_not_said(needed):
    assert said(**OPEN_ROW, needed=needed).endswith("p = 0.21.")


def test_a_test_without_its_interval_decides_nothing():
    assert said(**OPEN_ROW | {"p_holm": 0.008}).endswith("n = 200, p = 0.008, but the interval holds 0.")


def test_a_difference_that_the_correction_alone_leaves_open_says_both():
    changed = {"difference": 0.152, "low": 0.066, "high": 0.238, "p": 0.011, "p_holm": 0.11, "better": "", "n": 50}
    text = said(**changed, effect=0.4, needed=45.0)

    assert text.endswith("+0.152 [0.066, 0.238], n = 50, by itself p = 0.011, after Holm 0.11.")
    assert said(**changed, tests=10).endswith("by itself p = 0.011, after Holm over 10 comparisons 0.11; about 90 "
                                              "images would be needed to tell it by itself.")  # fmt: skip


def test_comparisons_are_counted_per_metric():
    analysis = analyse(make_run(8, datas=("planted/test",), models=("plain",), panels=0))
    counts = {row["metric"]: row["tests"] for row in with_tests(analysis.explainers).to_dict("records")}

    assert counts == {"deletion": 3, "insertion": 3, "pointing_game": 3}  # of gradcam, random and centre


def test_a_mean_that_the_ranks_contradict_is_not_decided_though_the_metric_has_a_direction():
    row = ROW | {"difference": 0.03, "low": 0.01, "high": 0.05, "better": "", "effect": -0.4, "p_holm": 0.002}

    assert verdict(row) == "undecided"
    assert comparison(row, LOWER).endswith("n = 200, p = 0.002, but mean and ranks disagree.")
    assert verdict(row | {"effect": 0.4}) == "different"


def test_names_that_hold_a_comma_are_quoted():
    text = said(data="photos, grey", fixed="accuracy(unit=pixel,steps=3)", a="ours, small", across="run")

    assert text.startswith('On "photos, grey", "ours, small" beats IG on deletion for accuracy(unit=pixel,steps=3):')


def test_a_row_without_a_count_of_needed_images_is_spoken_too():
    row = pd.Series(ROW | OPEN_ROW).drop(["needed", "effect"])

    assert comparison(row, LOWER).endswith("p = 0.21.")


def test_equal_scores_are_equal_and_not_undecided():
    text = said(difference=0.0, low=0.0, high=0.0, p=1.0, p_holm=1.0, better="", needed=math.nan)

    hits = said(difference=0.0, low=-0.02, high=0.02, p=1.0, p_holm=1.0, better="", sd_images=0.0)

    assert text == "On planted, Grad-CAM and IG score the same on deletion for resnet18, n = 200."
    assert hits == text
    assert "cannot be told" in said(difference=0.0, low=-0.02, high=0.02, p_holm=1.0, better="", sd_images=0.1)


def test_a_difference_of_a_metric_without_direction_has_no_winner():
    assert "IG scores higher than Grad-CAM on deletion for resnet18, of which no direction is better: +0.030" in said(
        OPEN, better=""
    )


def test_one_image_tells_nothing():
    text = said(n=1, low=math.nan, high=math.nan, p=1.0, p_holm=1.0, better="", needed=math.nan)

    assert text.endswith("-0.030, n = 1, p = 1; one image tells nothing.")


def test_no_common_image_and_sets_are_said():
    assert said(n=0, difference=math.nan, undefined=3, p_holm=math.nan, better="").endswith(
        "no image has a score of both."
    )
    assert said(n=1, low=math.nan, high=math.nan, p_holm=math.nan, better="").endswith(
        "is one number of the whole set, which has no paired test: 0.2 for Grad-CAM, 0.23 for IG."
    )


@pytest.mark.parametrize(
    ("changed", "end"),
    [
        ({"undefined": 1}, "n = 200; 1 image undefined."),
        ({"undefined": 3}, "n = 200; 3 images undefined."),
        ({"undefined": 3, "lost": 2}, "n = 200; 3 images undefined, 2 of them only for Grad-CAM."),
    ],
)
def test_images_left_out_are_counted(changed, end):
    assert said(**changed).endswith(end)


def test_every_comparison_of_a_run_has_its_sentence():
    analysis = analyse(make_run(20, datas=("planted/test",)))
    texts = sentences(analysis)

    assert len(texts) == len(analysis.models) + len(analysis.explainers)
    assert len(set(texts)) == len(texts)
    assert all(text.endswith(".") and "nan" not in text for text in texts)
    assert Results(analysis.run).sentences() == texts


def test_the_better_one_wins_from_scores_to_words():
    noise = np.random.default_rng(0).normal(0, 0.01, (2, 50))
    rows = [
        score_row("d", "m", name, "deletion", f"{i}", level + noise[k, i])
        for k, (name, level) in enumerate((("ig", 0.5), ("gradcam", 0.3)))
        for i in range(50)
    ]
    curves = pd.DataFrame([], columns=list(CURVE_COLUMNS))
    cards = {"deletion": {"name": "deletion", "better": "lower", "scope": "image"}}
    kinds = {name: {"kind": kind} for name, kind in KINDS.items()}
    (text,) = sentences(analyse(Run(pd.DataFrame(rows, columns=list(SCORE_COLUMNS)), curves, cards, kinds)))

    assert text.startswith("On d, gradcam beats ig on deletion for m: -0.2")


def test_small_words():
    assert [counted(n, "image") for n in (0, 1, 2, 1200)] == ["0 images", "1 image", "2 images", "1,200 images"]
    assert [series(list("abcde")[:n]) for n in range(6)] == ["", "a", "a and b", "a, b and c", "a, b, c and d",
                                                             "a, b, c and 2 more"]  # fmt: skip
    names = ["a", "a,b", "f(a,b)", "c (x), 5", "f(a,b)g"]
    assert [quoted(name) for name in names] == ["a", '"a,b"', "f(a,b)", '"c (x), 5"', "f(a,b)g"]
    assert [percent(x) for x in (0.0, 0.004, 0.12, 0.999, 1.0)] == [
        "0 %",
        "less than 1 %",
        "12 %",
        "more than 99 %",
        "100 %",
    ]
    assert [about(x) for x in (7.0, 61.2, 1201.0, 99_500.0, 3e7)] == [
        "about 7", "about 62", "about 1,300", "about 100,000", "more than a million"
    ]  # fmt: skip
