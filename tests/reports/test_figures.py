import matplotlib as mpl
import pytest
from synthetic_run import HOSTILE, make_run

from xai_bench.reports import figures
from xai_bench.reports.analysis import analyse
from xai_bench.reports.style import PAGE, looks, short, stacked


@pytest.fixture(scope="module")
def analysis():
    return analyse(make_run(6, datas=("planted/test",), panels=1))


DRAWN = {
    "curves": figures.named("curves").draw,
    "forest": figures.named("forest").draw,
    "gallery": figures.named("gallery").draw,
}


@pytest.mark.parametrize("form", figures.FORMATS)
def test_the_same_run_gives_the_same_bytes(analysis, form):
    assert figures.rendered(DRAWN["forest"](analysis), form) == figures.rendered(DRAWN["forest"](analysis), form)


@pytest.mark.parametrize("name", DRAWN)
def test_other_formats_before_do_not_change_the_bytes(analysis, name):
    figure = DRAWN[name](analysis)
    figures.rendered(figure, "png", dpi=60)

    assert figures.rendered(figure, "svg") == figures.rendered(DRAWN[name](analysis), "svg")


@pytest.mark.parametrize("name", DRAWN)
def test_figures_are_as_wide_as_the_page_and_carry_no_date(analysis, name):
    picture = figures.rendered(DRAWN[name](analysis), "svg").decode()

    assert f'width="{PAGE * 72:g}pt"' in picture
    assert "dc:date" not in picture
    assert "<text" in picture  # text stays text


def test_settings_of_the_reader_come_back(analysis):
    with mpl.rc_context({"font.size": 23}):
        figures.rendered(DRAWN["forest"](analysis), "png", dpi=50)

        assert mpl.rcParams["font.size"] == 23


@pytest.mark.parametrize("name", DRAWN)
def test_names_are_text_and_never_mathematics_or_markup(name):
    run = make_run(4, models=(HOSTILE, "$a_1$"), explainers=("gradcam", "random"), datas=("$d_1$",), panels=1)
    picture = figures.rendered(DRAWN[name](analyse(run)), "svg").decode()

    assert ">$a_1$" in picture
    assert "&lt;script" in picture


def test_every_explainer_has_its_own_look_and_controls_are_grey():
    names = tuple(f"e{i}" for i in range(20))
    found = looks((*names, "random"), frozenset({"random"}))

    assert len({(look["color"], str(look["linestyle"])) for look in found.values()}) == 21
    assert found["random"]["color"] == "#777777"


def test_a_panel_has_a_line_per_explainer_and_a_point_per_step(analysis):
    lines = DRAWN["curves"](analysis).subfigs[0].axes[2].lines  # deletion of ersm

    assert [len(line.get_xdata()) for line in lines] == [28] * 4


def test_long_names_lose_their_middle():
    assert short("timm:resnet18.a1_in1k", 11) == "timm:…_in1k"
    assert short("ersm", 4) == "ersm"


def test_names_that_are_stacked_stay_whole_where_they_can():
    assert stacked("unchanged_predictions ↑", 14) == "unchanged_\npredictions ↑"
    assert stacked("pointing_game 0.42", 18) == "pointing_game 0.42"
    assert stacked("pointing_game undefined", 16) == "pointing_game\nundefined"
    assert stacked("explainer_10", 10) == "explainer_\n10"
    assert stacked("x" * 40, 10) == "xxxx…xxxxx"
    assert stacked("a_" * 30, 6).count("\n") == 2
