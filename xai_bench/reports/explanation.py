"""One picture explained: the image, its maps, and its curves."""

import math
from collections.abc import Sequence
from itertools import chain

from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from xai_bench.reports import figures
from xai_bench.reports.analysis import Analysis, analyse, unique
from xai_bench.reports.figures.drawing import Foot, lines
from xai_bench.reports.figures.labels import at_spaces, labels, wrapped
from xai_bench.reports.figures.scale import SCALED
from xai_bench.reports.style import COLOURS, MARKERS, PAGE, Look, context, looks, short
from xai_bench.runs.run import Run

FORMATS = figures.FORMATS
ROW, ACROSS = 6, 5  # panels that stand in one row; of more, in each of several
LETTERS = 17  # of a title or caption, to an inch
_LINE, _CURVES = 0.125, 1.9  # inches


def picture(run: Run, form: str) -> bytes:
    """The drawing of a run of one image as pdf, svg or png."""
    return figures.rendered(drawing(analyse(run)), form, dpi=200)


def drawing(analysis: Analysis) -> Figure:
    """Above the image and its maps with their scores in rows, below the curves, a legend and what the colours are."""
    panel = analysis.run.gallery[0]
    explainers = analysis.floor_last(dict.fromkeys(name for _, name in panel.maps))
    metrics = unique(analysis.run.curves["metric"])
    across = len(explainers) + 1 if len(explainers) < ROW else ACROSS
    letters = int(LETTERS * PAGE / across)
    titles, below = _titles(analysis, explainers, letters), _captions(analysis, explainers, letters)
    rows = -(-len(titles) // across)
    high = rows * (PAGE / across + _LINE * (_tallest(titles) + _tallest(below)) + 0.1)
    styles = _styles(analysis, explainers)
    foot = Foot(lines(styles, {name: name for name in styles}) if metrics else {}, SCALED, "page")
    heights = [high, *[_CURVES] * bool(metrics)]
    with context():
        figure = Figure(figsize=(PAGE, sum(heights) + foot.height), layout="constrained")
        parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        axes = list(chain.from_iterable(parts[0].subplots(rows, across, squeeze=False)))
        axes[0].imshow(panel.image)
        model = next(iter(analysis.run.info["models"]))
        for ax, name in zip(axes[1:], explainers, strict=False):
            relevance = panel.maps[model, name]
            figures.map_panel(ax, relevance, panel.region, signed=bool(relevance.min() < 0))
        _said(axes, titles, below)
        if metrics:
            _curves(parts[1], analysis, metrics, styles)
        foot.draw(figure)
    return figure


def _said(axes: Sequence[Axes], titles: Sequence[str], below: Sequence[str]) -> None:
    for ax, title, words in zip(axes, titles, below, strict=False):
        ax.set_title(title, fontsize=7)
        ax.set_xlabel(words, fontsize=6)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
    for ax in axes[len(titles) :]:
        ax.set_axis_off()


def _tallest(words: Sequence[str]) -> int:
    return max(text.count("\n") for text in words) + 1


def _titles(analysis: Analysis, explainers: Sequence[str], letters: int) -> list[str]:
    sample = analysis.run.gallery[0].sample
    return ["\n".join(wrapped(sample, letters)), *labels(explainers, letters, lines=3).values()]


def _captions(analysis: Analysis, explainers: Sequence[str], letters: int) -> list[str]:
    model, target = next(iter(analysis.run.info["models"])), int(analysis.run.scores["target"].iloc[0])
    seen = "\n".join([*wrapped(model, letters), f"class {target}"])
    return [seen, *(_scored(analysis, name, letters) for name in explainers)]


def _styles(analysis: Analysis, explainers: Sequence[str]) -> dict[str, Look]:
    """Lines whose colour comes again carry a marker: dashes alone are hard to tell apart."""
    controls = frozenset(name for name in explainers if analysis.kind(name) in ("control", "ceiling"))
    styles = looks(explainers, controls)
    others = [name for name in explainers if name not in controls]
    for place, name in enumerate(others[len(COLOURS) :]):
        mark = MARKERS[place // len(COLOURS) % len(MARKERS)]
        styles[name] |= {"marker": mark, "markersize": 3, "markevery": 0.12}
    return styles


def _curves(part: FigureBase, analysis: Analysis, metrics: tuple[str, ...], styles: dict[str, Look]) -> None:  # type: ignore[type-arg, unused-ignore]
    curves = analysis.run.curves
    axes = part.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
    for ax, metric in zip(axes, metrics, strict=True):
        for name, style in styles.items():
            line = curves[(curves["metric"] == metric) & (curves["explainer"] == name)]
            ax.plot(line["fraction"], line["value"], label=name, **style)
        ax.set_title(short(analysis.arrow(metric), 28), loc="left")
        ax.set_xlabel("fraction")
        ax.margins(x=0)
    axes[0].set_ylabel("model output")


def _scored(analysis: Analysis, explainer: str, letters: int) -> str:
    rows = analysis.run.scores[analysis.run.scores["explainer"] == explainer]
    said = (f"{analysis.label(row['metric'])} {_number(row['score'])}" for _, row in rows.iterrows())
    return "\n".join(line for words in said for line in at_spaces(words, letters))


def _number(score: float) -> str:
    return "undefined" if math.isnan(score) else f"{score:.3f}"
