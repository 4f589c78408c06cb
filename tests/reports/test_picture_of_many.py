"""Pictures of many explainers, and of names that differ in one letter: nothing overlaps, nothing is left out unsaid."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from synthetic_analysis import make_analysis

from xai_bench.reports import figures, notebook
from xai_bench.reports.analysis import Analysis
from xai_bench.reports.explanation import drawing
from xai_bench.reports.figures.labels import at_spaces, labels
from xai_bench.reports.figures.scale import SCALED, reach

NESTED = [f"smooth(explainer=gradcam(layers=blocks.{i},combine=product),samples=4)" for i in (2, 4)]
CURVES = ("deletion", "insertion")


def explained(count):
    names = (*NESTED, *(f"explainer_{i}" for i in range(count - 3)), "random")[-count:]
    run = make_analysis(models=("plain",), explainers=names, metrics=CURVES).run
    steps = pd.DataFrame({"fraction": [0.0, 0.5, 1.0], "value": [0.9, 0.4, 0.0]})
    curves = run.scores[["data", "model", "explainer", "metric", "sample"]].merge(steps, how="cross")
    return drawing(Analysis(replace(run, curves=curves, info={"models": {"plain": {}}})))


@pytest.mark.parametrize(("count", "rows"), [(1, [2]), (4, [5]), (5, [6]), (13, [5, 5, 4])])
def test_maps_stand_in_rows_of_five_and_few_in_one(count, rows):
    figure = explained(count)
    places = [round(ax.get_position().y0, 2) for ax in figure.subfigs[0].axes if ax.images]

    assert [places.count(y) for y in dict.fromkeys(places)] == rows


@pytest.mark.parametrize("count", [1, 4, 13])
def test_no_words_of_one_picture_overlap_and_none_lie_over_the_curves(count):
    figure = explained(count)
    figure.draw_without_rendering()
    axes = [ax for ax in figure.subfigs[0].axes if ax.images]
    words = [text.get_window_extent() for ax in axes for text in (ax.title, ax.xaxis.label)]
    legend = figure.legends[0].get_window_extent()

    assert not [(i, j) for i, one in enumerate(words) for j in range(i) if one.overlaps(words[j])]
    assert all(ax.get_tightbbox().y0 >= legend.y1 for ax in figure.subfigs[1].axes)
    assert len(figure.legends[0].get_texts()) == count
    assert figure.legends[0].get_title().get_text().replace("\n", " ") == SCALED


def test_lines_of_one_colour_differ_by_more_than_their_dashes():
    lines = explained(13).subfigs[1].axes[0].lines
    looks = [(line.get_color(), line.get_marker()) for line in lines]

    assert len(set(looks)) == len(looks) == 13


def test_a_gallery_says_what_it_leaves_out_and_keeps_random_although_another_control_is_better():
    names = (*(f"explainer_{i}" for i in range(11)), "centre", "random")
    figure = figures.named("gallery").draw(make_analysis(models=("plain",), explainers=names))
    heads = [ax.get_title().partition("\n")[0] for ax in figure.axes]
    note = figure.get_supxlabel().replace("\n", " ")

    assert heads[-1] == "random"
    assert len(heads) == 11
    assert (
        "3 of 13 explainers, the last by their mean place, have no column: explainer_9, explainer_10, centre." in note
    )


def test_scores_below_a_map_break_at_spaces_and_nothing_of_a_gallery_overlaps():
    names = (*(f"explainer_{i}" for i in range(9)), "random")
    analysis = make_analysis(models=("plain",), explainers=names)
    panel = replace(analysis.run.gallery[0], sample="ILSVRC2012_val_00014310")
    figure = figures.gallery(analysis, [panel])
    figure.draw_without_rendering()
    below = [ax.xaxis.label for ax in figure.axes]
    boxes = [text.get_window_extent() for text in below]

    assert "".join(below[0].get_text().split("\n")) == panel.sample
    assert not [i for i, (left, right) in enumerate(pairwise(boxes)) if left.overlaps(right)]
    assert at_spaces("deletion 0.141", 9) == ["deletion", "0.141"]
    assert at_spaces("pointing_game 1", 13) == ["pointing_game", "1"]


@pytest.mark.parametrize(("most", "lines"), [(20, 1), (24, 1), (40, 1), (20, 2), (20, 3), (40, 2)])
def test_names_that_differ_in_the_middle_stay_two(most, lines):
    found = labels([*NESTED, "random"], most, lines)
    cut = [found[name] for name in NESTED]

    assert cut[0] != cut[1]
    assert ["s.2" in cut[0].replace("\n", ""), "s.4" in cut[1].replace("\n", "")] == [True, True]
    assert all(len(line) <= most for word in cut for line in word.split("\n"))
    assert max(word.count("\n") for word in cut) < lines
    assert found["random"] == "random"


def test_names_break_at_parameters_before_anything_is_cut():
    name = "gradcam(layers=blocks.2,combine=product)"

    assert labels([name], 24, lines=2) == {name: "gradcam(layers=blocks.2,\ncombine=product)"}
    assert labels([name], 40) == {name: name}


def test_single_pixels_take_no_colour_from_the_rest():
    ramp = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(100, 100)
    spiked = ramp.copy()
    spiked[0, :5] = 100

    assert reach(ramp) == 1
    assert reach(spiked) == pytest.approx(0.9955, abs=0.001)
    assert reach(-spiked) == reach(spiked)
    assert reach(np.zeros((4, 4), np.float32)) == 1
    assert reach(np.eye(100, dtype=np.float32) * (np.arange(100) == 3)) == 1  # all but one pixel are 0


@pytest.mark.parametrize("sign", [1, -1])
def test_every_picture_of_a_map_has_that_scale(sign):
    values = np.full((100, 100), 0.5, np.float32)
    values[0, 0], values[1, 1], values[:50] = 0, 0, values[:50] / 2
    values[2, 2] = 50
    signed = values * np.where(np.arange(100) % 2, sign, 1).astype(np.float32)
    axes = Figure().subplots(1, 2)
    figures.map_panel(axes[0], signed, None, signed=sign < 0)
    notebook.overlay(np.zeros((100, 100, 3), np.uint8), signed, ax=axes[1])

    assert axes[0].images[0].get_clim()[1] == pytest.approx(0.5)
    assert np.quantile(np.abs(np.asarray(axes[1].images[1].get_array())), 0.9) == pytest.approx(1)
