"""What stands in the panels, read back from the axes and compared with numbers known on paper."""

import math

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scikit_posthocs._plotting import _find_maximal_cliques
from synthetic_analysis import make_analysis, mean_of

from xai_bench.errors import InvalidValueError, RunError, UnknownNameError
from xai_bench.reports import figures
from xai_bench.reports.figures.intervals import differences_from
from xai_bench.reports.figures.masks import hidden
from xai_bench.reports.figures.rankings import cliques
from xai_bench.reports.figures.scatters import front
from xai_bench.results import Results


@pytest.fixture(scope="module")
def analysis():
    return make_analysis()


def plotted(analysis, name, **chosen):
    return figures.plot(analysis, name, None, chosen)


def labels(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def points(ax):
    """(x, y) of every marker."""
    return [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in ax.lines if line.get_marker() == "o"]


def whiskers(ax):
    return [tuple(float(x) for x, _ in part.get_segments()[0]) for part in ax.collections]


def test_a_forest_has_each_mean_on_its_row_and_controls_below(analysis):
    ax = plotted(analysis, "forest", metric="insertion")
    means = [mean_of(place, 5, model, "higher") for model in (0, 1) for place in range(5)]

    assert labels(ax)[:5] == [
        f"plain · {name}" for name in ("energy (intrinsic)", "gradcam", "ig", "centre (control)", "random (control)")
    ]
    assert np.array(points(ax)) == pytest.approx(np.column_stack([means, range(10)]))
    assert np.array(whiskers(ax)) == pytest.approx(np.column_stack([np.subtract(means, 0.04), np.add(means, 0.05)]))


def test_differences_from_random_have_the_sign_of_the_explainer_and_the_verdict_of_the_test(analysis):
    table = differences_from(analysis, "random")
    energy = table[(table["metric"] == "deletion") & (table["model"] == "plain")].set_index("explainer").loc["energy"]

    assert energy["mean"] == pytest.approx(-0.6)  # 0.1 - 0.7, lower is better
    assert (energy["low"], energy["high"]) == pytest.approx((-0.63, -0.54))
    assert energy["verdict"] == "better"
    assert "random" not in set(table["explainer"])


def test_differences_from_the_best_turn_where_the_best_stands_first(analysis):
    table = differences_from(analysis, "best")
    found = table[(table["metric"] == "insertion") & (table["model"] == "ersm")].set_index("explainer")
    top1 = table[table["metric"] == "top1"]

    assert list(found.index) == ["gradcam", "ig", "centre", "random"]
    assert found.loc["gradcam", ["mean", "low", "high"]].tolist() == pytest.approx([-0.15, -0.21, -0.12])
    assert set(found["verdict"]) == {"worse"}
    assert top1[["model", "verdict"]].to_numpy().tolist() == [["ersm", "worse"]]


def test_what_was_told_the_object_is_not_the_best():
    told = make_analysis(explainers=("region", "gradcam", "random"))

    assert "region" in set(differences_from(told, "best")["explainer"])


def test_colours_say_better_worse_and_undecided():
    close = make_analysis(explainers=("gradcam", *(f"e{i}" for i in range(14)), "random"), models=("plain",))
    ax = plotted(close, "differences_best", metric="insertion")
    colours = {(line.get_color(), line.get_markerfacecolor()) for line in ax.lines if line.get_marker() == "o"}

    assert colours == {("#D55E00", "#D55E00"), ("#777777", "white")}  # worse, and too close to tell


@pytest.mark.parametrize("seed", range(20))
def test_cliques_are_those_of_scikit_posthocs(seed):
    rng = np.random.default_rng(seed)
    ranks = np.sort(rng.uniform(1, 9, 9))
    same = pd.DataFrame(np.abs(ranks[:, None] - ranks) < 1.5)
    theirs = {(min(found), max(found)) for found in _find_maximal_cliques(same) if len(found) > 1}

    assert set(cliques(ranks.tolist(), 1.5)) == theirs


def test_cliques_on_paper():
    assert cliques([1.0, 1.5, 2.2, 4.0], 1.0) == [(0, 1), (1, 2)]
    assert cliques([1.0, 2.0], 1.0) == []  # as much as the critical difference is a difference
    assert cliques([1.0, 1.2, 1.4], 1.0) == [(0, 2)]
    assert cliques([1.0, 1.2], math.nan) == []


def test_bars_join_what_cannot_be_told_apart(analysis):
    ax = plotted(analysis, "ranks", metric="deletion", model="plain")  # ranks 1.3, 2.1, 2.9 ...: critical difference 1
    bars = [line.get_xdata() for line in ax.lines if line.get_linewidth() == 2]

    assert [tuple(bar) for bar in bars] == [pytest.approx((r - 0.03, r + 0.83)) for r in (1.3, 2.1, 2.9, 3.7)]


def test_one_bar_joins_all_where_friedmans_test_finds_nothing():
    open_question = make_analysis()
    open_question.__dict__["friedman"]["p"] = 0.06
    ax = plotted(open_question, "ranks", metric="deletion", model="plain")

    assert [tuple(line.get_xdata()) for line in ax.lines if line.get_linewidth() == 2] == [pytest.approx((1.27, 4.53))]


def test_the_pareto_front_on_paper():
    seconds, gains = np.array([3.0, 1.0, 2.0, 4.0, 1.0]), np.array([0.5, 0.2, 0.4, 0.45, 0.1])

    assert front(seconds, gains) == [1, 2, 0]


def test_up_and_right_are_better(analysis):
    deletion, insertion = (plotted(analysis, "trade_off", metric=name) for name in ("deletion", "insertion"))

    assert deletion.yaxis.get_inverted()
    assert not insertion.yaxis.get_inverted()
    assert not deletion.xaxis.get_inverted()


def test_a_heat_map_says_every_tau(analysis):
    ax = plotted(analysis, "metric_agreement")
    image = ax.images[0]

    assert np.asarray(image.get_array()) == pytest.approx(analysis.taus.to_numpy())
    assert [text.get_text() for text in ax.texts][:3] == ["1.00", "0.33", "-0.33"]
    assert image.get_clim() == (-1, 1)


def test_the_least_kept_are_hidden_first():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    keep = np.array([[0.9, 0.1], [0.4, 0.6]], np.float32)

    assert hidden(image, keep, 0.5).reshape(4, 3)[:, 0].tolist() == [0, 128, 128, 9]
    assert image[0, 1].tolist() == [3, 4, 5]  # the image itself is left alone


def test_a_curve_has_its_band(analysis):
    ax = plotted(analysis, "curves", model="ersm", metric="insertion")
    line, band = ax.lines[0], ax.collections[0].get_paths()[0].get_extents()

    assert [line.get_label() for line in ax.lines] == ["energy", "gradcam", "ig", "centre", "random"]
    assert band.y0 < line.get_ydata().min() < line.get_ydata().max() < band.y1


def test_removal_is_a_question_about_models(analysis):
    ax = plotted(analysis, "occlusion")

    assert [line.get_label() for line in ax.lines] == ["plain", "ersm"]
    assert "accuracy" not in set(analysis.bands[analysis.bands["explainer"] != "none"]["metric"])


def test_improvement_turns_pairs_and_starts_at_one_half(analysis):
    ax = plotted(analysis, "improvement", metric="insertion", against="gradcam")
    found = dict(zip(labels(ax), (x for x, _ in points(ax)), strict=True))

    assert found["energy (intrinsic)"] == pytest.approx(0.59)
    assert found["ig"] == pytest.approx(1 - 0.59)


def test_axes_of_ones_own_are_drawn_into_and_keep_their_style(analysis):
    with mpl.rc_context({"font.size": 20, "axes.titlesize": 20}):
        ax = Figure().subplots()

        assert figures.plot(analysis, "forest", ax, {"metric": "deletion"}) is ax
        assert ax.get_title(loc="left") == "deletion ↓"
        assert ax.title.get_fontsize() == 20
        assert mpl.rcParams["font.size"] == 20


@pytest.mark.parametrize("drawing", [d for d in figures.FIGURES if d.plot], ids=lambda drawing: drawing.name)
def test_every_panel_is_a_column_wide_without_axes(analysis, drawing):
    figure = figures.plot(analysis, drawing.name, None, {}).figure

    assert figure.get_size_inches()[0] == 3.25
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda results: results.plot("forrest"), "unknown figure 'forrest'; did you mean 'forest'?"),
        (lambda results: results.figure("curvs"), "unknown figure 'curvs'; did you mean 'curves'?"),
        (
            lambda results: results.plot("forest", metric="deltion"),
            "unknown metric with scores 'deltion'; did",
        ),
        (
            lambda results: results.plot("forest", model="plain"),
            "unknown choice of figure 'forest' 'model'; known",
        ),
        (lambda results: results.figure("forest", "broad"), "unknown width 'broad'; known: column, page"),
        (lambda results: results.plot("gallery", sample="image-7"), "unknown sample in the gallery 'image-7'"),
    ],
)
def test_wrong_names_are_refused_by_name(analysis, unchecked, call, words):
    results = Results(analysis.run)
    results.__dict__["_analysis"] = analysis

    with pytest.raises(UnknownNameError) as error:
        call(results)
    assert str(error.value).startswith(words)


def test_what_a_run_does_not_hold_is_said(analysis):
    poor = make_analysis(panels=0, metrics=("deletion",), models=("plain",))
    poor.__dict__["costs"] = poor.costs.iloc[:0]

    with pytest.raises(RunError, match="holds no seconds per map"):
        plotted(poor, "cost")
    with pytest.raises(RunError, match="agreement needs two models"):
        plotted(poor, "model_agreement")
    with pytest.raises(InvalidValueError, match="holds nothing that figure 'energy' could show"):
        figures.figure(poor, "energy")
    with pytest.raises(InvalidValueError, match="more than one panel"):
        plotted(analysis, "energy")


def test_every_point_looks_different():
    names = tuple(f"e{i}" for i in range(11))
    ax = plotted(make_analysis(explainers=(*names, "random")), "cost", metric="insertion")
    found = {
        (line.get_marker(), line.get_color(), line.get_markeredgecolor(), line.get_markerfacecolor())
        for line in ax.lines[1:]
    }

    assert len(found) == 2 * 12  # models x explainers


def test_the_scale_of_ranks_reaches_the_last(analysis):
    few = make_analysis(explainers=(*(f"e{i:02d}" for i in range(40)), "random"), models=("plain",))
    ax = plotted(few, "ranks", metric="deletion")

    assert max(line.get_xdata()[-1] for line in ax.lines if line.get_linewidth() == 0.8) >= few.ranks["rank"].max()
