"""What was explained: images beside their maps, the object outlined, the scores below."""

import math
from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from xai_bench.errors import RunError, UnknownNameError
from xai_bench.reports.analysis import Analysis
from xai_bench.reports.figures import selection
from xai_bench.reports.figures.drawing import Picture, canvas, folded
from xai_bench.reports.figures.labels import at_spaces, labels, wrapped
from xai_bench.reports.figures.scale import SCALED, reach
from xai_bench.reports.style import DIVERGING, WIDTHS, Width, context, short
from xai_bench.runs.run import Panel

TIGHT = ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.02, wspace=0.02, hspace=0.02)
SHOWN = 3  # scores under a map
ROWS = {"page": 12, "column": 8}  # of image and model
MAPS = {"page": 10, "column": 4}  # beside an image
NAMED = 8  # left out
LETTERS = 21  # of a caption, to an inch
NOTE = f"{SCALED} Scores are of the raw maps."


def gallery(analysis: Analysis, panels: Iterable[Panel], most: int = 4, *, width: Width = "page") -> Figure | None:
    """Images x explainers, one row per image and model; None where there are no panels.

    At most `ROWS` rows, and of the explainers `MAPS`: those that come first by their mean place, and of the controls
    `random`, last. Which are left out is said below.
    """
    shown = selection.models(analysis)
    rows = [(panel, model) for panel in islice(panels, most) for model in _models(panel) if model in shown]
    if not rows:
        return None
    rows = rows[: ROWS[width]]
    there = tuple(dict.fromkeys(name for panel, _ in rows for _, name in panel.maps))
    explainers = _explainers(analysis, there, MAPS[width])
    signed = {name: any(_signed(panel, name) for panel, _ in rows) for name in explainers}
    scores, cell = _Scores(analysis), WIDTHS[width] / (len(explainers) + 1)
    letters = int(LETTERS * cell)
    titles = _titles(analysis, ("image", *explainers), int(16 * cell))
    note = folded(f"{NOTE}{_seed(analysis)}{_left_out(explainers, there)}", int(LETTERS * WIDTHS[width]))
    below = max(scores.lines(letters), *(len(wrapped(panel.sample, letters)) for panel, _ in rows))
    high = (cell + 0.11 * below) * len(rows) + 0.12 * (max(t.count("\n") for t in titles) + note.count("\n")) + 0.4
    with context():
        figure = Picture(figsize=(WIDTHS[width], high), layout=TIGHT)
        grid = figure.subplots(len(rows), len(explainers) + 1, squeeze=False)
        for (first, *axes), (panel, model) in zip(grid, rows, strict=True):
            _picture(first, panel, model, letters)
            for ax, explainer in zip(axes, explainers, strict=True):
                map_panel(ax, panel.maps.get((model, explainer)), panel.region, signed=signed[explainer])
                ax.set_xlabel(scores.of(panel, model, explainer, letters), fontsize=5.5, labelpad=2)
        for ax, title in zip(grid[0], titles, strict=True):
            ax.set_title(title, fontsize=7 if cell > 0.8 else 5.5)
        figure.supxlabel(note, fontsize=5.5)
    return figure


def _seed(analysis: Analysis) -> str:
    return f" Maps and scores are those of the first of {analysis.seeds} seeds." if analysis.seeds > 1 else ""


def plot_map(
    analysis: Analysis,
    *,
    sample: str | None = None,
    model: str | None = None,
    explainer: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """One map of the gallery, the object outlined, its scores below; the first there is unless told otherwise."""
    places = [(panel.sample, *place) for panel in analysis.run.gallery for place in panel.maps]
    if not places:
        raise RunError("the run keeps no maps, so there is nothing to plot")
    for i, (what, wanted) in enumerate((("sample", sample), ("model", model), ("explainer", explainer))):
        kept = [place for place in places if wanted in (None, place[i])]
        if not kept:
            raise UnknownNameError.of(f"{what} in the gallery", wanted, {place[i] for place in places})
        places = [place for place in kept if place[i] == kept[0][i]]
    name, *key = places[0]
    panel = next(panel for panel in analysis.run.gallery if panel.sample == name and tuple(key) in panel.maps)
    with canvas(ax, 3.2) as here:
        map_panel(here, panel.maps[key[0], key[1]], panel.region, signed=_signed(panel, key[1]))
        here.set_title(f"{short(key[0], 24)}, {short(key[1], 24)}")
        here.set_xlabel(_Scores(analysis).of(panel, key[0], key[1], 24))
    return here


def map_panel(
    ax: Axes, relevance: NDArray[np.float32] | None, region: NDArray[np.bool_] | None, *, signed: bool
) -> None:
    """One map with the object's outline; an empty frame where the model has no such explanation."""
    bare(ax)
    if relevance is None or not np.isfinite(relevance).all():
        word = "none" if relevance is None else "not finite"
        ax.text(0.5, 0.5, word, transform=ax.transAxes, ha="center", va="center", fontsize=7, color="#777777")
        ax.set_box_aspect(1)
        return
    if signed:
        most = reach(relevance)
        ax.imshow(relevance, cmap=DIVERGING, vmin=-most, vmax=most, interpolation="nearest")
    else:
        least = float(relevance.min())
        most = reach(relevance - least)
        ax.imshow(relevance, cmap="viridis", vmin=least, vmax=least + most, interpolation="nearest")
    outline(ax, region)


def _picture(ax: Axes, panel: Panel, model: str, letters: int) -> None:
    bare(ax)
    ax.imshow(panel.image, interpolation="nearest")
    outline(ax, panel.region)
    ax.set_ylabel(short(model, 16), fontsize=7)
    ax.set_xlabel("\n".join(wrapped(panel.sample, letters)), fontsize=5.5, labelpad=2)


def bare(ax: Axes) -> None:
    """A frame for a picture: no ticks, no spines."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def outline(ax: Axes, region: NDArray[np.bool_] | None) -> None:
    """White on black, so that it shows on any map."""
    if region is None or not region.any() or region.all():
        return
    for colour, width in (("black", 1.4), ("white", 0.6)):
        ax.contour(region, levels=[0.5], colors=[colour], linewidths=width)


def _models(panel: Panel) -> list[str]:
    return list(dict.fromkeys(model for model, _ in panel.maps))


def _explainers(analysis: Analysis, there: Sequence[str], most: int) -> tuple[str, ...]:
    """The explainers that have a column: the best, and the control `random` (another one where it is not there)."""
    if len(there) <= most:
        return analysis.floor_last(there)
    best = selection.ranking(analysis.summary, ["explainer"])["explainer"].astype(str)
    order = [*(name for name in best if name in there), *(name for name in there if name not in set(best))]
    known = [name for name in order if name in selection.controls(analysis)]
    floor = sorted(known, key=lambda name: analysis.run.explainers.get(name, {}).get("name") != "random")[:1]
    return analysis.floor_last([*[name for name in order if name not in floor][: most - len(floor)], *floor])


def _left_out(shown: Sequence[str], there: Sequence[str]) -> str:
    rest = [name for name in there if name not in shown]
    named = f": {', '.join(rest)}" if len(rest) <= NAMED else ""
    return (
        f" {len(rest)} of {len(there)} explainers, the last by their mean place, have no column{named}." if rest else ""
    )


def _signed(panel: Panel, explainer: str) -> bool:
    return any(bool((values < 0).any()) for (_, name), values in panel.maps.items() if name == explainer)


def _titles(analysis: Analysis, names: Sequence[str], width: int) -> list[str]:
    said = labels(names, max(width, 8), lines=3)
    marks = (analysis.marked(name).removeprefix(name).strip() for name in names)
    return ["\n".join(filter(None, (said[name], mark))) for name, mark in zip(names, marks, strict=True)]


class _Scores:
    """What is written under the maps: the first few metrics that judge them."""

    def __init__(self, analysis: Analysis) -> None:
        summary = analysis.summary[analysis.summary["explainer"] != "none"]
        self.metrics = list(summary["metric"].unique())[:SHOWN]
        scores = analysis.of_maps
        shown = {panel.sample for panel in analysis.run.gallery}
        kept = scores[scores["metric"].isin(self.metrics) & scores["sample"].isin(shown)]
        keys = zip(
            *(kept[name].astype(str) for name in ("data", "sample", "model", "explainer", "metric")), strict=True
        )
        self.found: dict[tuple[str, ...], float] = dict(zip(keys, kept["score"].astype(float), strict=True))

    def lines(self, width: int) -> int:
        """At most, below a map of that many letters."""
        return sum(_score(str(metric), math.nan, width).count("\n") + 1 for metric in self.metrics)

    def of(self, panel: Panel, model: str, explainer: str, width: int) -> str:
        keys = [(panel.data, panel.sample, model, explainer, str(metric)) for metric in self.metrics]
        return "\n".join(_score(key[-1], self.found[key], width) for key in keys if key in self.found)


def _score(metric: str, score: float, width: int) -> str:
    number = f"{score:.3g}" if np.isfinite(score) else "undefined"
    name = metric.partition("(")[0]  # parameters would run into the next map
    return "\n".join(at_spaces(f"{name} {number}", max(width, 13)))  # "pointing_game" is not broken
