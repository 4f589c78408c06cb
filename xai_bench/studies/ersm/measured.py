"""The tables of one training: every image under every mask, along every deletion and behind every occlusion."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from xai_bench.adapters import VisionModel
from xai_bench.adapters.model import Preprocessing
from xai_bench.engine import Case, Scene
from xai_bench.ersm import ErsmModel
from xai_bench.ersm.layer import Features
from xai_bench.explainers import EXPLAINERS
from xai_bench.explainers.explainer import explain
from xai_bench.explainers.upsample import upsample
from xai_bench.metrics import METRICS
from xai_bench.metrics import score as score_metric
from xai_bench.metrics.correlation import spearman
from xai_bench.seeding import Noise
from xai_bench.studies.ersm import masks
from xai_bench.studies.ersm.deletion import ORDERS, area, class_map, common_orders, deletion, own_orders, parts, pooled
from xai_bench.studies.ersm.frozen import Frozen, usable
from xai_bench.studies.ersm.occlusion import prepared, shapes
from xai_bench.studies.ersm.settings import MAIN, RECIPES
from xai_bench.studies.ersm.training import Training
from xai_bench.types import Batch, Maps

SWEPT = ("energy", "magnitude", "random")  # orders along which every mask of the sweep is judged
POINTING = {"name": "pointing_game", "tolerance": 0}  # the peak itself must lie on the object
LOCALISED: Mapping[str, Any] = {
    "energy in mask": "energy_pointing_game",
    "pointing": POINTING,
    "IoU at 0.5": "iou",
    "best IoU": {"name": "iou", "threshold": "best"},
}
Row = dict[str, Any]


def images(training: Training, split: str) -> pd.DataFrame:
    """One row per model and image: right or wrong, what its mask keeps, and how well that ranks tokens.

    The rows of a head without a mask speak of its Grad-CAM instead of a keep map.
    """
    data = training.judged(split)
    frames: list[Row] = []
    for rows, features in training.chunks(split):
        common = {"split": split, "sample": list(data.ids[rows])}
        seen = _Seen(training, data, rows, features)
        for variant, model in training.masks.items():
            head = training.heads[variant.recipe]
            frames.append(common | {"model": str(variant)} | _of_mask(model, head, features, seen))
        for recipe, head in training.heads.items():
            frames.append(common | {"model": f"head, {recipe} recipe"} | _of_head(head, features, seen, training))
        if training.trunk.plain:
            right = training.trunk.logits(features.to(training.trunk.model.device)).argmax(1).cpu() == seen.labels
            frames.append(common | {"model": "plain", "correct": right.numpy()})
    return pd.concat([pd.DataFrame(frame) for frame in frames], ignore_index=True)


def deletions(training: Training, split: str) -> pd.DataFrame:
    """One row per main model, order and image: the area, and whether it was right after 0 .. N deletions."""
    data, frames = training.judged(split), []
    for rows, features in training.chunks(split):
        seen = _Seen(training, data, rows, features)
        for name, model in training.main.items():
            logits, out = model.classify(features)
            found = seen.orders(training.heads[MAIN[name].recipe]) | own_orders(model, features, logits, out)
            added = parts(model, features)
            for order in ORDERS:
                for compensate in (False, True):
                    right = deletion(model, added, seen.labels, found[order], seen.lots, compensate=compensate)
                    steps = {str(step): column.numpy() for step, column in enumerate(right.unbind(1))}
                    facts = {"model": name, "order": order, "compensated": compensate, "area": area(right).numpy()}
                    frames.append({"split": split, "sample": list(data.ids[rows]), **facts, **steps})
    return pd.concat([pd.DataFrame(frame) for frame in frames], ignore_index=True)


def histograms(training: Training, split: str) -> pd.DataFrame:
    """One row per main model and bin of keep probability: the share of all tokens of a split."""
    found: dict[str, list[Tensor]] = {name: [] for name in MAIN}
    weights = []
    for _, features in training.chunks(split):
        weights.append(len(features))
        for name, model in training.main.items():
            found[name].append(masks.histogram(model.mask(features).keep.flatten(1)))
    share = torch.tensor(weights).double() / sum(weights)
    return pd.DataFrame(
        {"split": split, "model": name, "bin": bin_, "share": value}
        for name, parts_ in found.items()
        for bin_, value in enumerate((torch.stack(parts_) * share[:, None]).sum(0).tolist())
    )


def localisation(training: Training) -> pd.DataFrame:
    """One row per map, metric and image of the first split; nothing where the data know no objects."""
    split = training.settings.splits[0]
    data = training.judged(split)
    columns = ["split", "model", "map", "metric", "sample", "score"]
    if data.regions is None:
        return pd.DataFrame({name: pd.Series(dtype=float if name == "score" else str) for name in columns})
    frames = []
    for rows, features in training.chunks(split):
        judge = _Judge(data, rows)
        for model, kind, maps in _maps(training, features, judge):
            for metric, values in judge(maps).items():
                facts = {"split": split, "model": model, "map": kind, "metric": metric}
                frames.append(pd.DataFrame({**facts, "sample": list(data.ids[rows]), "score": values}))
    return pd.concat(frames, ignore_index=True)[columns]


def occlusions(training: Training) -> pd.DataFrame:
    """One row per occlusion, fill and image, one column per model: whether it was right; kind "none" is the clean one.

    `hidden` is the share of the object that is covered.
    """
    split = training.settings.splits[0]
    data = training.data(split)
    frames: list[Row] = []
    for batch in usable(data, training.settings.occluded):
        frames += _occluded_rows(training, batch)
    return pd.concat([pd.DataFrame(frame) for frame in frames], ignore_index=True)


def _occluded_rows(training: Training, batch: Batch) -> Iterator[Row]:
    model = training.trunk.model
    batch = batch.to(model.device)
    common = {"sample": list(batch.ids)}
    clean = {"kind": "none", "placement": "none", "share": 0.0, "fill": "none", "hidden": 0.0}
    yield common | clean | _right(training, batch, batch.images)
    regions = None if batch.regions is None else batch.regions.cpu()
    size = (batch.images.shape[2], batch.images.shape[3])
    blanks = prepared(model, batch, training.settings.fills)
    for shape in shapes(training.settings, regions=regions is not None):
        noise = Noise(0, f"occlusion/{shape.kind}", batch.ids)  # the same places for every training
        keep = shape.keep(size, regions, noise)
        facts = {"kind": shape.kind, "placement": shape.placement, "share": shape.share}
        hidden = np.full(len(batch), np.nan) if regions is None else _hidden(keep, regions)
        for fill, blank in blanks.items():
            pictures = blank.alter(batch.images, keep.to(model.device))
            yield common | facts | {"fill": fill, "hidden": hidden} | _right(training, batch, pictures)


def _hidden(keep: Tensor, regions: Tensor) -> Any:
    return ((1 - keep) * regions).sum((1, 2)).div(regions.sum((1, 2)).clamp(min=1)).double().numpy()


@torch.inference_mode()
def _right(training: Training, batch: Batch, pictures: Tensor) -> Row:
    """Whether each model is right about these images."""
    assert batch.labels is not None
    trunk, labels = training.trunk, batch.labels.cpu()
    found = trunk.features(pictures)
    features = found.float().cpu()
    logits = {name: model.classify(features)[0] for name, model in training.main.items()}
    logits |= {f"head, {name} recipe": head(features.mean((2, 3))) for name, head in training.heads.items()}
    logits |= {"plain": trunk.logits(found).cpu()} if trunk.plain else {}
    return {name: (value.argmax(1) == labels).numpy() for name, value in logits.items()}


class _Seen:
    """What is known of a few images."""

    def __init__(self, training: Training, data: Frozen, rows: slice, features: Features) -> None:
        self.features, self.labels, self.patch_size = features, data.labels[rows], training.settings.patch_size
        self.regions = None if data.regions is None else data.regions[rows]
        if self.regions is not None:
            ignore = None if data.ignore is None else data.ignore[rows]
            shape = (features.shape[2], features.shape[3])
            self.reach = {grid: masks.reach(self.regions, ignore, grid) for grid in {shape, self._tokens(shape)}}
        tokens = features[0, 0].numel() // self.patch_size**2
        self.lots = Noise(training.seed, "deletion", data.ids[rows]).permutations(tokens)  # the same for every model
        self._orders: dict[nn.Linear, dict[str, Tensor]] = {}

    def _tokens(self, shape: tuple[int, int]) -> tuple[int, int]:
        return shape[0] // self.patch_size, shape[1] // self.patch_size

    def orders(self, head: nn.Linear) -> dict[str, Tensor]:
        """Those that ask no mask."""
        if head not in self._orders:
            noise = self.lots.argsort(1).to(self.features.dtype)
            self._orders[head] = common_orders(head, self.features, noise, self.patch_size)
        return self._orders[head]


def _of_mask(model: ErsmModel, head: nn.Linear, features: Features, seen: _Seen) -> Row:
    logits, out = model.classify(features)
    keep, added = out.keep.flatten(1), parts(model, features)
    orders = seen.orders(head) | own_orders(model, features, logits, out)
    areas = {
        f"area, {order}": area(deletion(model, added, seen.labels, orders[order], seen.lots)).numpy() for order in SWEPT
    }
    return {
        "correct": (logits.argmax(1) == seen.labels).numpy(),
        "confidence": logits.softmax(1).amax(1).numpy(),
        "keep": keep.double().mean(1).numpy(),
        "entropy": masks.entropy(keep.double()).numpy(),
        "active": masks.active(keep).numpy(),
        "rank agreement with CAM": spearman(orders["energy"].double(), orders["cam"].double()).numpy(),
        **areas,
        **_of_regions(out.keep, seen),
    }


def _of_head(head: nn.Linear, features: Features, seen: _Seen, training: Training) -> Row:
    logits = head(features.mean((2, 3)))
    cam = class_map(head, features, logits.argmax(1)).clamp(min=0)
    tokens = masks.over_its_highest(pooled(cam, training.settings.patch_size))
    return {
        "correct": (logits.argmax(1) == seen.labels).numpy(),
        "confidence": logits.softmax(1).amax(1).numpy(),
        "entropy": masks.entropy(tokens.double()).numpy(),
        "active": masks.active(tokens).numpy(),
        **_of_regions(cam, seen),
    }


def _of_regions(cells: Tensor, seen: _Seen) -> Row:
    """How a map on the grid lies on the object; nothing where objects are not known."""
    if seen.regions is None:
        return {}
    shape = (cells.shape[1], cells.shape[2])
    share = masks.covered(seen.regions, shape)
    on, off = masks.on_and_off(cells, share)
    return {
        "told apart": masks.told_apart(cells, share).numpy(),
        "keep on object": on.numpy(),
        "keep off object": off.numpy(),
        "area of object": seen.regions.double().mean((1, 2)).numpy(),
        "energy in mask": seen.reach[shape].share(cells).numpy(),
    }


class _Judge:
    """Localisation metrics of the catalogue for maps of a few images; no model is asked."""

    def __init__(self, data: Frozen, rows: slice) -> None:
        assert data.regions is not None
        self.metrics = {name: METRICS.build(metric) for name, metric in LOCALISED.items()}
        self.ids, self.regions = data.ids[rows], data.regions[rows]
        self.images = torch.zeros(1, 3, *data.size).expand(len(self.ids), -1, -1, -1)
        shape = Preprocessing(data.size)
        blind = VisionModel(masks.Blind(), name="none", mean=(0.0,) * 3, std=(1.0,) * 3, preprocessing=shape)
        ignore = None if data.ignore is None else data.ignore[rows]
        batch = Batch(images=self.images, ids=self.ids, regions=self.regions, ignore=ignore)
        self.scene = Scene(blind, batch, targets=torch.zeros(len(self.ids), dtype=torch.int64))

    def __call__(self, maps: Maps) -> dict[str, Any]:
        """Score of each image by each metric, nan where undefined."""
        case = Case(self.scene, maps)
        return {name: score_metric(metric, case)[0].numpy() for name, metric in self.metrics.items()}

    def upsampled(self, cells: Tensor) -> Maps:
        """A map on the grid at image size, as the explainers do it."""
        return upsample(cells, self.images)

    def control(self, name: str) -> Maps:
        """The map of a control, which looks at no image."""
        scene = self.scene
        explainer = EXPLAINERS.build(name)
        return explain(explainer, scene.model, self.images, scene.targets, scene.noise("explain"))


def _maps(training: Training, features: Features, judge: _Judge) -> Iterator[tuple[str, str, Maps]]:
    """(model, map, values): of main models, of the heads without a mask, and of what knows nothing."""
    for name, model in training.main.items():
        logits, out = model.classify(features)
        cam = class_map(model.head, out.features, logits.argmax(1)).clamp(min=0)
        for kind, cells in (("energy", out.keep), ("energy_field", -out.energy), ("gradcam", cam)):
            yield name, kind, judge.upsampled(cells)
    for recipe in RECIPES:
        head = training.heads[recipe]
        cam = class_map(head, features, head(features.mean((2, 3))).argmax(1)).clamp(min=0)
        yield f"head, {recipe} recipe", "gradcam", judge.upsampled(cam)
    for name in ("random", "centre"):
        yield "none", name, judge.control(name)
