"""A run under several seeds: tables, figures and the page say whose tests and whose scores they show."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from synthetic_run import make_run

from xai_bench.reports import figures, tables
from xai_bench.reports.analysis import analyse
from xai_bench.reports.page import page
from xai_bench.reports.page.explorer import explorer

UNTESTED = "several seeds: ranks of their means, without a test"
MEANS = "eans over 2 seeds; other trainings may differ by more"


@pytest.fixture(scope="module")
def analysis():
    run = make_run(10, datas=("planted/test",), models=("ersm",), panels=1)
    again = run.scores.assign(seed=1, score=run.scores["score"] / 2)
    found = analyse(dataclasses.replace(run, scores=pd.concat([run.scores, again], ignore_index=True)))
    nothing = {"p": np.nan, "critical_difference": np.nan, "note": UNTESTED}
    found.__dict__["friedman"] = found.friedman.assign(**nothing)
    return found


def sheet(analysis, name):
    return dict(zip(tables.NAMES, tables.SHEETS, strict=True))[name](analysis)


def said(figure):
    return re.sub(r"\s+", " ", " ".join(text.get_text() for text in figure.findobj(Text)))


@pytest.mark.parametrize("name", ["leaderboard", "scores", "differences"])
def test_captions_name_the_test_over_seeds(analysis, name):
    caption = sheet(analysis, name).caption

    assert "a t-test over images crossed with seeds" in caption
    assert "Wilcoxon" not in caption
    assert "Over 2 seeds" in caption
    assert "{" not in caption


def test_ranks_without_a_test_are_not_bold_and_say_why(analysis):
    found = sheet(analysis, "ranks")

    assert not any(cell.top for grid in found.grids for row in grid.rows for cell in row.cells)
    assert all(note.endswith(UNTESTED) for note in found.notes)


def test_ranks_without_a_test_are_joined_by_no_bar(analysis):
    figure = figures.named("ranks").draw(analysis)
    bars = [line for ax in figure.axes for line in ax.lines if line.get_linewidth() == 2]

    assert bars == []
    assert UNTESTED in said(figure)


@pytest.mark.parametrize("name", ["ranks", "improvement", "profiles"])
def test_figures_of_means_over_seeds_say_so(analysis, name):
    assert MEANS in said(figures.named(name).draw(analysis))


def test_the_aggregates_of_means_over_seeds_say_so(analysis):
    assert MEANS in sheet(analysis, "aggregates").caption


def test_the_gallery_shows_the_scores_of_the_seed_whose_maps_it_shows(analysis):
    scores = analysis.run.scores
    first = scores[(scores["seed"] == 0) & (scores["sample"] == "test-0000")].set_index(["explainer", "metric"])[
        "score"
    ]
    words = said(figures.named("gallery").draw(analysis))

    assert f"deletion {first['random', 'deletion']:.3g}" in words
    assert f"deletion {first['random', 'deletion'] / 2:.3g}" not in words
    assert "Maps and scores are those of the first of 2 seeds." in words


def test_a_tile_of_the_explorer_lists_each_metric_once_with_the_score_of_the_first_seed(analysis):
    (image,) = explorer(analysis)["images"]
    scores = analysis.run.scores[lambda rows: (rows["sample"] == image["id"]) & (rows["explainer"] != "none")]

    for place, column in enumerate(explorer(analysis)["columns"]):
        mine = scores[(scores["explainer"] == column["explainer"]) & (scores["seed"] == 0)]
        assert image["scores"][place] == [[row.metric, f"{row.score:.3g}"] for row in mine.itertuples()]


def test_the_page_says_whose_scores_stand_under_the_maps(analysis):
    made = page(analysis, {}, [sheet(analysis, "ranks")], [])

    assert "Maps and their scores are those of the first of 2 seeds, curves are means over the seeds." in made
    assert "under 2 seeds" in made
    assert UNTESTED in made


def test_one_seed_says_nothing_of_seeds():
    analysis = analyse(make_run(6, datas=("planted/test",), models=("ersm",), panels=1))
    words = [said(figures.named(name).draw(analysis)) for name in ("ranks", "improvement", "gallery")]

    assert not any("seed" in text for text in (*words, page(analysis, {}, [], []).partition("<script")[0]))
