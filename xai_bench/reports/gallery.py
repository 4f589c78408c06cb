"""What was explained: images beside their maps, the object outlined, the scores below."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from xai_bench.reports.analysis import Analysis
from xai_bench.reports.style import PAGE, context, short
from xai_bench.runs.run import Panel

_TIGHT = ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.02, wspace=0.02, hspace=0.02)
SHOWN = 3  # scores under a map
NOTE = (
    "Maps are scaled for display only: each from its minimum to its maximum, or, where an explainer gives signs, "
    "symmetrically about 0 (red speaks for the class, blue against). Scores are of the raw maps."
)


def gallery(analysis: Analysis, panels: Iterable[Panel], most: int = 4) -> Figure | None:
    """Images x explainers, one row per image and model; None where there are no panels."""
    rows = [(panel, model) for panel in islice(panels, most) for model in _models(panel)]
    if not rows:
        return None
    explainers = analysis.floor_last(dict.fromkeys(name for panel, _ in rows for _, name in panel.maps))
    signed = {name: any(_signed(panel, name) for panel, _ in rows) for name in explainers}
    lines, cell = _scored_lines(analysis), PAGE / (len(explainers) + 1)
    with context():
        figure = Figure(figsize=(PAGE, (cell + 0.11 * lines) * len(rows) + 0.75), layout=_TIGHT)
        grid = figure.subplots(len(rows), len(explainers) + 1, squeeze=False)
        for (first, *axes), (panel, model) in zip(grid, rows, strict=True):
            _picture(first, panel, model)
            for ax, explainer in zip(axes, explainers, strict=True):
                map_panel(ax, panel.maps.get((model, explainer)), panel.region, signed=signed[explainer])
                ax.set_xlabel(_scores(analysis, panel, model, explainer), fontsize=5.5, labelpad=2)
        for ax, name in zip(grid[0], ("image", *explainers), strict=True):
            ax.set_title(_wrapped(analysis, name, int(16 * cell)), fontsize=7 if len(explainers) < 8 else 5)
        figure.supxlabel(NOTE, fontsize=5.5, wrap=True)
    return figure


def map_panel(
    ax: Axes, relevance: NDArray[np.float32] | None, region: NDArray[np.bool_] | None, *, signed: bool
) -> None:
    """One map with the object's outline; an empty frame where the model has no such explanation."""
    _bare(ax)
    if relevance is None or not np.isfinite(relevance).all():
        word = "none" if relevance is None else "not finite"
        ax.text(0.5, 0.5, word, transform=ax.transAxes, ha="center", va="center", fontsize=7, color="#777777")
        ax.set_box_aspect(1)
        return
    if signed:
        reach = float(np.abs(relevance).max()) or 1.0
        ax.imshow(relevance, cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest")
    else:
        ax.imshow(relevance, cmap="viridis", interpolation="nearest")
    _outline(ax, region)


def _picture(ax: Axes, panel: Panel, model: str) -> None:
    _bare(ax)
    ax.imshow(panel.image, interpolation="nearest")
    _outline(ax, panel.region)
    ax.set_ylabel(short(model, 16), fontsize=7)
    ax.set_xlabel(short(panel.sample, 24), fontsize=5.5, labelpad=2)


def _bare(ax: Axes) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def _outline(ax: Axes, region: NDArray[np.bool_] | None) -> None:
    """White on black, so that it shows on any map."""
    if region is None or not region.any() or region.all():
        return
    for colour, width in (("black", 1.4), ("white", 0.6)):
        ax.contour(region, levels=[0.5], colors=[colour], linewidths=width)


def _models(panel: Panel) -> list[str]:
    return list(dict.fromkeys(model for model, _ in panel.maps))


def _signed(panel: Panel, explainer: str) -> bool:
    return any(bool((values < 0).any()) for (_, name), values in panel.maps.items() if name == explainer)


def _wrapped(analysis: Analysis, name: str, width: int) -> str:
    mark = analysis.marked(name).removeprefix(name).strip()
    return "\n".join(filter(None, (short(name.replace("_plus_plus", "++"), max(width, 8)), mark)))


def _scored_lines(analysis: Analysis) -> int:
    return min(SHOWN, len(_mapped(analysis.summary)))


def _mapped(rows: pd.DataFrame) -> list[Any]:
    return list(rows.loc[rows["explainer"] != "none", "metric"].unique())


def _scores(analysis: Analysis, panel: Panel, model: str, explainer: str) -> str:
    scores = analysis.run.scores
    here = (scores["sample"] == panel.sample) & (scores["data"] == panel.data) & (scores["model"] == model)
    mine = scores[here & (scores["explainer"] == explainer)].head(SHOWN)
    return "\n".join(_score(str(row["metric"]), float(row["score"])) for _, row in mine.iterrows())


def _score(metric: str, score: float) -> str:
    name = short(metric.partition("(")[0], 16)  # parameters would run into the next map
    return f"{name} {score:.3g}" if np.isfinite(score) else f"{name} undefined"
