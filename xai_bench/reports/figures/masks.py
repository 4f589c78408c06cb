"""What an energy mask does: the image, the price of its tokens, what is kept, and the image as least-kept parts go."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xai_bench.reports.analysis import Analysis
from xai_bench.reports.figures.drawing import Picture
from xai_bench.reports.figures.pictures import TIGHT, bare, map_panel, outline
from xai_bench.reports.style import WIDTHS, Width, context, short
from xai_bench.runs.run import Panel

KEEP, FIELD = "energy", "energy_field"  # names of the explainers that read a mask
HIDDEN = (0.25, 0.5, 0.75)
GREY = 128
MOST = 6  # rows


class _Mask(NamedTuple):
    """One image and what one model's mask makes of it."""

    panel: Panel
    model: str
    keep: NDArray[np.float32]  # (H, W)
    field: NDArray[np.float32] | None  # (H, W), minus the energy


def energy(analysis: Analysis, *, width: Width = "page") -> Figure | None:
    """Image, minus energy, keep map, and the image without its least-kept parts; None where no map is of a mask."""
    rows = [mask for panel in analysis.run.gallery for mask in _masks(analysis, panel)][:MOST]
    if not rows:
        return None
    priced = any(mask.field is not None for mask in rows)
    titles = ["image", *["minus energy"] * priced, "keep map", *(f"{share:.0%} hidden" for share in HIDDEN)]
    cell = (WIDTHS[width] - 0.3) / len(titles)
    with context():
        figure = Picture(figsize=(WIDTHS[width], (cell + 0.04) * len(rows) + 0.3), layout=TIGHT)
        grid = figure.subplots(len(rows), len(titles), squeeze=False)
        for axes, mask in zip(grid, rows, strict=True):
            _row(list(axes), mask, priced=priced)
        for ax, title in zip(grid[0], titles, strict=True):
            ax.set_title(title, fontsize="small" if width == "page" else "x-small")
    return figure


def hidden(image: NDArray[np.uint8], keep: NDArray[np.float32], share: float) -> NDArray[np.uint8]:
    """The image (H, W, 3) with a share of its pixels grey, those that are kept least first; ties by place."""
    order = np.argsort(keep, axis=None, kind="stable")[: round(share * keep.size)]
    altered = image.copy()
    altered.reshape(-1, 3)[order] = GREY
    return altered


def _masks(analysis: Analysis, panel: Panel) -> Iterator[_Mask]:
    names = {label: str(facts.get("name", label)) for label, facts in analysis.run.explainers.items()}
    found = {(model, names.get(label, label)): relevance for (model, label), relevance in panel.maps.items()}
    for (model, name), keep in found.items():
        if name == KEEP and np.isfinite(keep).all():
            yield _Mask(panel, model, keep, found.get((model, FIELD)))


def _row(axes: list[Axes], mask: _Mask, *, priced: bool) -> None:
    image, region = mask.panel.image, mask.panel.region
    bare(axes[0])
    axes[0].imshow(image, interpolation="nearest")
    outline(axes[0], region)
    axes[0].set_ylabel(f"{short(mask.model, 18)}\n{short(mask.panel.sample, 18)}", fontsize="x-small")
    for ax, values in zip(axes[1:], [*[mask.field] * priced, mask.keep], strict=False):
        map_panel(ax, values, region, signed=False)
    for ax, share in zip(axes[-len(HIDDEN) :], HIDDEN, strict=True):
        bare(ax)
        ax.imshow(hidden(image, mask.keep, share), interpolation="nearest")
