"""Any number of names, any names, hardly any numbers: figures stay legible, small and drawn."""

import math
from io import BytesIO

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from pypdf import PdfReader
from skimage.color import deltaE_ciede2000, rgb2lab
from synthetic_analysis import make_analysis

from xai_bench.reports import figures
from xai_bench.reports.style import COLOURS, DIVERGING, GREYS

HOSTILE = ("a_b^c $x$ 50% <script>&{0}", "$a_1$ \\frac")
NAMES = [drawing.name for drawing in figures.FIGURES]


@pytest.fixture(scope="module")
def hostile():
    return make_analysis(
        datas=("<b>&_%$ {}",), models=HOSTILE, explainers=("energy", "e_1 & {x}% $", "$y^2_", "random")
    )


@pytest.fixture(scope="module")
def many():
    names = ("energy", *(f"explainer_{i:02d}" for i in range(46)), "centre", "random", "region")
    return make_analysis(models=("plain", "ersm", "other"), explainers=names)


@pytest.fixture(scope="module")
def models():
    return make_analysis(models=tuple(f"model_{i:04d}" for i in range(1500)), explainers=("gradcam", "random"))


def drawn(analysis, name, **how):
    return figures.named(name).draw(analysis, **how)


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_text_in_every_figure(hostile, name):
    picture = figures.rendered(drawn(hostile, name), "svg").decode()

    assert "<script" not in picture
    assert "<text" in picture


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_smaller_than_a_printed_page_can_bear(hostile, name, width):
    figure = drawn(hostile, name, width=width)
    sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()}

    assert min(sizes) >= 5.5
    assert figure.get_size_inches()[0] == {"page": 6.75, "column": 3.25}[width]


@pytest.mark.parametrize("name", ["forest", "ranks", "gallery"])
def test_pdfs_embed_their_fonts_as_truetype(hostile, name):
    pdf = PdfReader(BytesIO(figures.rendered(drawn(hostile, name), "pdf")))
    fonts = [font.get_object() for font in pdf.pages[0]["/Resources"]["/Font"].values()]
    parts = [font["/DescendantFonts"][0].get_object() for font in fonts if font["/Subtype"] == "/Type0"]

    assert fonts
    assert len(parts) == len(fonts)  # none is Type 3
    assert all("/FontFile2" in part["/FontDescriptor"].get_object() for part in parts)


@pytest.mark.parametrize("name", NAMES)
def test_fifty_explainers_fit(many, name):
    figure = drawn(many, name)

    assert figure.get_size_inches()[1] < 24
    assert len(figures.rendered(figure, "svg")) < 700_000


@pytest.mark.parametrize("name", ["forest", "differences_best", "model_agreement", "trade_off", "occlusion", "gallery"])
def test_thousands_of_models_fit(models, name):
    figure = drawn(models, name)

    assert figure.get_size_inches()[1] < 24
    assert len(figure.axes) <= 60


def test_of_many_rows_the_best_and_the_best_controls_stay_and_the_figure_says_so(many):
    figure = drawn(many, "forest")
    ax = next(ax for ax in figure.subfigs[1].axes if ax.get_title(loc="left") == "deletion ↓")
    shown = [text.get_text() for text in ax.get_yticklabels()]

    assert len(shown) == 30 + 9  # three controls, the ceiling among them, of three models
    assert shown[0] == "plain · energy (intrinsic)"
    assert "plain · explainer_45" not in shown
    assert "39 of 150 rows: the best by their mean place, and controls." in figure.legends[0].get_title().get_text()


def test_of_many_panels_the_first_stay_and_the_figure_says_so(models):
    figure = drawn(models, "ranks")

    assert sum(bool(ax.lines) for ax in figure.axes) == 40
    assert "40 of 4500 panels" in figure.legends[0].get_title().get_text().replace("\n", " ")


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_is_defined_nothing_breaks(name):
    bare = make_analysis(panels=0)
    for frame in ("summary", "explainers", "models", "improvement"):
        numbers = bare.__dict__[frame].select_dtypes("number").columns.difference(["n", "models"])
        bare.__dict__[frame][numbers] = math.nan
    for frame in ("bands", "ranks", "friedman", "profiles", "costs"):
        bare.__dict__[frame] = bare.__dict__[frame].iloc[:0]
    for frame in ("taus", "model_taus"):
        bare.__dict__[frame] = bare.__dict__[frame] * math.nan
    figure = drawn(bare, name)

    assert figure is None or figures.rendered(figure, "svg")


def seen_without(cones, colours):
    """Machado, Oliveira & Fernandes (2009), table 1, severity 1.0; on linear RGB."""
    rgb = np.array([to_rgb(colour) for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(cones).T, 0, 1)
    return np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)


DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]


@pytest.mark.parametrize("cones", [DEUTERANOPIA, PROTANOPIA, np.eye(3)], ids=["deuteranopia", "protanopia", "all"])
def test_the_first_colours_differ_for_every_eye(cones):
    lab = rgb2lab(seen_without(cones, (*COLOURS[:3], GREYS[0]))[None])[0]
    apart = [deltaE_ciede2000(a, b) for i, a in enumerate(lab) for b in lab[:i]]

    assert min(apart[:3]) > 15  # 2 is a just noticeable difference side by side
    assert min(apart) > 9  # the grey of controls, which are dotted or open besides


def test_the_diverging_map_takes_equal_steps_to_either_side():
    lab = rgb2lab(DIVERGING(np.linspace(0, 1, 33))[None, :, :3])[0]
    steps = np.linalg.norm(np.diff(lab, axis=0), axis=1)

    assert steps[:16].std() < 0.06 * steps[:16].mean()
    assert steps[16:].std() < 0.06 * steps[16:].mean()
    assert lab[0, 0] == pytest.approx(lab[-1, 0], abs=1.5)  # as dark at -1 as at 1
    assert lab[16, 0] > 96


def test_the_style_file_can_be_used_by_name():
    from matplotlib import style

    with style.context("xai_bench.reports.xai_bench"):
        from matplotlib import rcParams

        assert rcParams["pdf.fonttype"] == 42
        assert [colour.upper() for colour in rcParams["axes.prop_cycle"].by_key()["color"]] == list(COLOURS)


def test_every_figure_says_what_it_is():
    assert len(set(NAMES)) == len(NAMES)
    assert all(d.heading and d.caption.endswith(".") and d.alt.endswith(".") for d in figures.FIGURES)


def texts(figure):
    return {text.get_text() for text in figure.findobj(Text) if text.get_visible()}


def test_none_is_no_explainer_that_was_left_out():
    figure = drawn(make_analysis(), "curves")

    assert not any("explainers: the best" in text for text in texts(figure))


def test_what_parameters_a_metric_has_stands_below_the_figure_while_its_name_is_its_own():
    names = ("deletion", "pointing_game(tolerance=0)", "pointing_game(tolerance=15)", "metric(of=an, old=kind)")
    analysis = make_analysis(metrics=names)
    figure = drawn(analysis, "forest")
    titles = {ax.get_title(loc="left").replace("\n", "") for ax in figure.subfigs[1].axes}

    assert "metric ↑" in titles
    assert not any("…" in title for title in titles)
    assert "Metrics: metric(of=an, old=kind)." in figure.legends[0].get_title().get_text().replace("\n", " ")


def test_a_sign_that_the_font_lacks_is_no_warning_per_sign():
    figure = drawn(make_analysis(models=("猫", "ersm")), "forest")

    assert figures.rendered(figure, "png", dpi=50)


@pytest.mark.parametrize(
    "names", [("energy", "gradcam", "ig", "centre", "random"), ("ig", *("x" * 30 + c for c in "abc"))]
)
@pytest.mark.parametrize("width", ["page", "column"])
def test_names_of_ranks_stay_within_their_panel(names, width):
    figure = drawn(make_analysis(explainers=names), "ranks", width=width)
    figure.draw_without_rendering()
    panels = [ax for part in figure.subfigs for ax in part.axes if ax.texts]
    for ax in panels:
        box = ax.get_window_extent()
        spans = [text.get_window_extent() for text in ax.texts]
        assert min(span.x0 for span in spans) > box.x0 - 3
        assert max(span.x1 for span in spans) < box.x1 + 3
