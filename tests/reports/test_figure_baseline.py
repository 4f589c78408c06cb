"""Pictures compared with references. All text is hidden and axes stand where the test puts them, so that neither a

font nor a layout of another version matters, and the tolerance can be narrow. After a wanted change, look at the new
pictures and renew them: `python tests/reports/test_figure_baseline.py` (with PYTHONPATH=tests/reports).
"""

from pathlib import Path

import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images
from matplotlib.text import Text
from synthetic_analysis import make_analysis

from xai_bench.reports import figures
from xai_bench.reports.style import context

BASELINE = Path(__file__).parent / "baseline"
NAMES = [drawing.name for drawing in figures.FIGURES]
TOLERANCE = 2  # root of the mean squared difference, of 255; a band more or less is 5, a colour swapped 4 to 20


def pictured(name):
    """The figure's panel in axes of 240 x 160 pixels; the figure itself where it has more than one panel."""
    analysis, drawing = make_analysis(explainers=("energy", "gradcam", "energy_field", "random")), figures.named(name)
    with context():
        if drawing.plot is None:
            figure = drawing.draw(analysis, width="column")
        else:
            figure = Figure(figsize=(3, 2))
            chosen = {"metric": "insertion"} if name == "forest" else {}  # the first metric has but two rows
            drawing.plot(analysis, **chosen, ax=figure.add_axes((0.04, 0.04, 0.92, 0.92)))
    return figure


def saved(figure, path):
    for text in figure.findobj(Text):
        text.set_visible(False)
    path.write_bytes(figures.rendered(figure, "png", dpi=80))
    return str(path)


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_as_they_were(name, tmp_path):
    found = saved(pictured(name), tmp_path / "found.png")

    assert compare_images(str(BASELINE / f"{name}.png"), found, TOLERANCE) is None


def swap_colours(figure):
    first, second = figure.axes[0].lines[:2]
    first.set_color("#D55E00")
    second.set_color("#0072B2")


def drop_band(figure):
    next(part for part in figure.axes[0].collections if isinstance(part, PolyCollection)).remove()


def turn_map(figure):
    image = figure.axes[0].images[0]
    image.set_cmap(image.get_cmap().reversed())


@pytest.mark.parametrize(
    ("name", "fault"),
    [("curves", swap_colours), ("curves", drop_band), ("profiles", drop_band), ("metric_agreement", turn_map)],
)
def test_a_planted_fault_is_seen(name, fault, tmp_path):
    figure = pictured(name)
    fault(figure)

    assert compare_images(str(BASELINE / f"{name}.png"), saved(figure, tmp_path / "found.png"), TOLERANCE)


def test_references_are_small():
    assert sum(path.stat().st_size for path in BASELINE.iterdir()) < 300_000


if __name__ == "__main__":
    BASELINE.mkdir(exist_ok=True)
    for each in NAMES:
        saved(pictured(each), BASELINE / f"{each}.png")
