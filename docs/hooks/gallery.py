"""The picture of every explainer on one image, drawn by each build: planted data, small models trained here."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from use import OWN_MODELS

import xai_bench as xb
from xai_bench.adapters import Preprocessing, VisionModel
from xai_bench.data import Data, load_data
from xai_bench.explainers import EXPLAINERS
from xai_bench.reports import figures
from xai_bench.reports.style import PAGE, context
from xai_bench.training.plain import HALF, train_plain
from xai_bench.training.recipe import PRESETS
from xai_bench.types import Batch

NAME = "gallery.png"
SIZE, COLUMNS, IMAGES = 64, 6, 1000
CELL = PAGE / COLUMNS
SAMPLE = 3  # of the planted test images
CNN: Mapping[str, Any] = {"output_stride": 8, "avg_down": False, "drop_path_rate": 1.0}  # as the demo's, 8 x 8 cells
TASK: Mapping[str, Any] = {"classes": ("ring", "square"), "correlation": 0.5, "distractors": 0}
VIT: Mapping[str, Any] = {"img_size": SIZE, "patch_size": 8}  # 8 x 8 tokens
CHEAP: Mapping[str, Mapping[str, Any]] = {
    "rise": {"samples": 1000},
    "lime": {"samples": 300},
    "kernel_shap": {"samples": 300},
    "extremal": {"iterations": 100},
    "class_group": {"group": 1},  # of two classes
}
ELSEWHERE = (*OWN_MODELS, "native_map", "maps")  # they need another kind of model, or files


class Drawn(NamedTuple):
    """One explainer's map of the image."""

    name: str
    model: str
    family: str
    relevance: NDArray[np.float32]  # (H, W)


@cache
def picture() -> bytes:
    """The gallery as a png."""
    return figures.rendered(_figure(list(_drawn())), "png", dpi=150)


@cache
def models() -> dict[str, VisionModel]:
    """A convolutional net and a transformer that tell the planted shapes apart, from random weights in seconds."""
    data, scratch = planted("train", IMAGES), PRESETS["scratch"]
    cnn = train_plain(data, scratch, factory=CNN, progress=False)
    vit = train_plain(data, replace(scratch, lr=2e-3), backbone="test_vit", factory=VIT, progress=False)
    shape = Preprocessing((SIZE, SIZE))
    return {
        name: VisionModel(module, name=name, mean=HALF, std=HALF, preprocessing=shape)
        for name, module in (("CNN", cnn), ("ViT", vit))
    }


def planted(split: str, n: int) -> Data:
    """Images whose wall says nothing of the class, so that only the object does.

    Two shapes and nothing beside them, or a transformer would learn for minutes.
    """
    return load_data("planted", split=split, n=n, size=SIZE, batch_size=256, **TASK)


@cache
def batch() -> Batch:
    """The image."""
    return planted("test", SAMPLE + 1).batch(SAMPLE, SAMPLE + 1)


def _table(name: str) -> dict[str, Any]:
    return {"name": name, **CHEAP.get(name, {})}


def _model_for(name: str) -> VisionModel:
    explainer = EXPLAINERS.build(_table(name))
    return next(model for model in models().values() if not explainer.unfit(model))


def _drawn() -> Iterator[Drawn]:
    one = batch()
    for name in EXPLAINERS:
        if name not in ELSEWHERE:
            model, known = _model_for(name), {"regions": one.regions, "ids": one.ids}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # captum's, on what it hooks
                maps = xb.explain(_table(name), model, one.images, one.labels, **known)
            yield Drawn(name, model.label, EXPLAINERS[name].card.family, maps[0].numpy())


def _figure(drawn: Sequence[Drawn]) -> Figure:
    """The image, then the maps family by family, each family on rows of its own."""
    families = list(dict.fromkeys(one.family for one in drawn))
    rows = [[None, *_of(drawn, families[0])[: COLUMNS - 1]]]
    rows += _rows(_of(drawn, families[0])[COLUMNS - 1 :])
    rows += [row for family in families[1:] for row in _rows(_of(drawn, family))]
    with context():
        figure = Figure(figsize=(PAGE, (CELL + 0.12) * len(rows)), layout="constrained")
        for axes, row in zip(figure.subplots(len(rows), COLUMNS, squeeze=False), rows, strict=True):
            for ax, one in zip(axes, [*row, *[()] * (COLUMNS - len(row))], strict=True):
                _panel(ax, one)
    return figure


def _of(drawn: Sequence[Drawn], family: str) -> list[Drawn]:
    return [one for one in drawn if one.family == family]


def _rows(drawn: Sequence[Drawn]) -> list[list[Drawn | None]]:
    return [list(drawn[start : start + COLUMNS]) for start in range(0, len(drawn), COLUMNS)]


def _panel(ax: Axes, one: Drawn | tuple[()] | None) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    if one is None:
        ax.imshow(batch().images[0].permute(1, 2, 0).numpy(), interpolation="nearest")
        ax.set_title("image", fontsize="small")
    elif one:
        figures.map_panel(ax, one.relevance, None, signed=bool(one.relevance.min() < 0))
        ax.set_title(one.name, fontsize="x-small")
        ax.set_xlabel(f"{one.family}, {one.model}", fontsize=5.5, labelpad=2)
