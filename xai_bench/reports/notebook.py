"""What results and maps show of themselves in a notebook: small, self-contained, every name escaped."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xai_bench.digits import ranged
from xai_bench.reports.analysis import Analysis, Block, analyse
from xai_bench.reports.figures import rendered
from xai_bench.reports.figures.scale import reach
from xai_bench.reports.html import environment, uri
from xai_bench.reports.style import DIVERGING, PAGE, context
from xai_bench.reports.words import findings
from xai_bench.runs.run import Run

LIGHT = 20_000  # scores beyond which a cell of a notebook would take seconds to show itself
FIRST = 6  # findings
PAIRS = 3  # images with their maps side by side
Pixels = NDArray[np.uint8]  # (h, w, 3)
Values = NDArray[np.float32]  # (H, W)


def results_html(run: Run, head: str) -> str:
    """A table of means with intervals and the first findings; of a large run, or an empty one, only the head."""
    if not 0 < len(run.scores) <= LIGHT:
        return environment().get_template("results.html.j2").render(head=head, blocks=(), said=(), more=0)
    analysis = analyse(run)
    said = [finding.text for finding in findings(analysis) if finding.verdict != "note"]
    blocks = [
        {
            "data": block.data,
            "heads": [analysis.arrow(metric) for metric in block.metrics],
            "rows": list(_rows(analysis, block)),
        }
        for block in analysis.blocks()
    ]
    return (
        environment()
        .get_template("results.html.j2")
        .render(head=head, blocks=blocks, said=said[:FIRST], more=len(said[FIRST:]))
    )


def _rows(analysis: Analysis, block: Block) -> Iterator[dict[str, Any]]:
    cells = analysis.summary[analysis.summary["data"] == block.data]
    found = {(row["metric"], row["model"], row["explainer"]): row for _, row in cells.iterrows()}
    for model, explainer in block.rows:
        yield {
            "model": model,
            "explainer": "" if explainer == "none" else analysis.marked(explainer),
            "cells": [_cell(found.get((metric, model, explainer))) for metric in block.metrics],
        }


def _cell(row: Any) -> dict[str, Any]:
    """Text, whether it is among the best, and how many images of how many are undefined."""
    if row is None:
        return {"text": "", "top": False, "aside": ""}
    defined = np.isfinite(row["mean"])
    text = ranged(row["mean"], row["low"], row["high"]) if defined else "undefined"
    aside = f"{row['undefined']} of {row['n'] + row['undefined']} undefined" if row["undefined"] else ""
    return {"text": text, "top": bool(row["top"]), "aside": aside if defined else ""}


def maps_html(png: bytes, who: str, said: Sequence[str], targets: Sequence[int]) -> str:
    """The picture of the first maps, with words for those who do not see it; `targets` (B,) of all."""
    classes = [f"class {target}" for target in targets]
    template = environment().get_template("maps.html.j2")
    return template.render(png=uri("image/png", png), who=who, lines=list(zip(classes, said)), count=len(targets))  # noqa: B905 - of the first


def maps_png(images: Sequence[Pixels] | Pixels, maps: Sequence[Values], targets: Sequence[int]) -> bytes:
    """Each image beside its map laid over it, in rows of three."""
    lines, wide = -(-len(maps) // PAIRS), min(PAIRS, len(maps))
    side = PAGE / (2 * PAIRS)
    with context():
        figure = Figure(figsize=(2 * side * wide, (side + 0.2) * lines), layout="constrained")
        grid = figure.subplots(lines, 2 * wide, squeeze=False)
        for ax in grid.flat:
            ax.set_axis_off()
        for place, relevance in enumerate(maps):
            left, right = grid[place // wide, 2 * (place % wide) :][:2]
            left.imshow(images[place], interpolation="nearest")
            left.set_title(f"class {targets[place]}", fontsize=7)
            overlay(images[place], relevance, ax=right)
    return rendered(figure, "png", dpi=130)


def overlay(image: Pixels, relevance: Values, *, ax: Axes | None = None) -> Axes:
    """A map over its image in grey; what is not relevant stays clear. Orange speaks for the class, blue against."""
    if ax is None:
        from matplotlib import pyplot as plt  # noqa: PLC0415 - so that a new figure shows itself in a notebook

        ax = plt.subplots()[1]
    height, width = image.shape[:2]
    whole = (-0.5, width - 0.5, height - 0.5, -0.5)
    ax.imshow(image @ np.array([0.299, 0.587, 0.114]), cmap="gray", vmin=0, vmax=255, extent=whole)
    ax.set_axis_off()
    if not np.isfinite(relevance).all():
        ax.text(0.5, 0.5, "not finite", transform=ax.transAxes, ha="center", va="center", color="white")
    elif (relevance < 0).any():
        shown = _clipped(relevance)
        ax.imshow(shown, cmap=DIVERGING, vmin=-1, vmax=1, alpha=0.9 * np.abs(shown), extent=whole)
    else:
        shown = _clipped(relevance - relevance.min())
        ax.imshow(shown, cmap="viridis", vmin=0, vmax=1, alpha=0.9 * shown, extent=whole)
    return ax


def _clipped(values: Values) -> Values:
    """Within [-1, 1], on the scale of every picture of a map."""
    clipped: Values = np.clip(values / reach(values), -1, 1).astype(np.float32)
    return clipped


def title(explainer: str, target: int) -> str:
    """What stands above a map."""
    return f"{explainer}, class {target}"
