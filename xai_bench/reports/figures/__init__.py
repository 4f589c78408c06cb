"""Figures ready for a paper: each kind as a whole figure, and as one panel into axes of one's own.

`FIGURES` is what a page shows, in its order. A whole figure is `draw(analysis, width="page" | "column")`; one panel is
`plot_...(analysis, ..., ax=None)`. Users call both through `Results.figure` and `Results.plot`.
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.reports.analysis import Analysis
from xai_bench.reports.figures.catalogue import FIGURES
from xai_bench.reports.figures.drawing import FORMATS, Drawing, Picture, rendered
from xai_bench.reports.figures.pictures import gallery, map_panel
from xai_bench.reports.figures.series import curve_panel
from xai_bench.reports.style import WIDTHS, Width


def named(name: str) -> Drawing:
    """The kind of figure of that name. UnknownNameError where there is none."""
    found = {drawing.name: drawing for drawing in FIGURES}
    if name not in found:
        raise UnknownNameError.of("figure", name, found)
    return found[name]


def figure(analysis: Analysis, name: str, width: Width = "page") -> Figure:
    """A whole figure. InvalidValueError where the run has nothing to draw."""
    drawing = named(name)
    if width not in WIDTHS:
        raise UnknownNameError.of("width", width, WIDTHS)
    if (drawn := drawing.draw(analysis, width=width)) is None:
        raise InvalidValueError(f"the run holds nothing that figure {name!r} could show: {drawing.heading.lower()}")
    return drawn


def plot(analysis: Analysis, name: str, ax: Axes | None, chosen: dict[str, str]) -> Axes:
    """One panel of a figure into `ax`. UnknownNameError where the figure has no such choice."""
    drawing = named(name)
    if drawing.plot is None:
        raise InvalidValueError(f"figure {name!r} is more than one panel; use figure({name!r})")
    for key in chosen:
        if key not in drawing.chooses:
            raise UnknownNameError.of(f"choice of figure {name!r}", key, drawing.chooses)
    return drawing.plot(analysis, ax=ax, **chosen)


__all__ = [
    "FIGURES",
    "FORMATS",
    "Drawing",
    "Picture",
    "curve_panel",
    "figure",
    "gallery",
    "map_panel",
    "named",
    "plot",
    "rendered",
]
