"""What a frozen backbone makes of a data set, computed once and kept on disk while a training is judged."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from xai_bench.adapters import VisionModel, load_model
from xai_bench.adapters.checkpoint import save_model
from xai_bench.adapters.model import Preprocessing
from xai_bench.data import CATALOGUE as DATA
from xai_bench.data import Data, load_data
from xai_bench.errors import DataError
from xai_bench.ersm.layer import EnergyMask, Features
from xai_bench.ersm.stages import cut
from xai_bench.studies.ersm.settings import ErsmSettings
from xai_bench.training import Recipe, train_plain
from xai_bench.training.plain import HALF
from xai_bench.types import Batch, Labels, Regions

CROP = 1 / 1.14  # of the published test images: the shorter side to 1.14 times the size, then the centre


class Frozen(NamedTuple):
    """A data set as a frozen backbone sees it; images that cannot be read are left out."""

    features: Features  # (n, C, h, w), of a file that is mapped into memory
    labels: Labels
    ids: tuple[str, ...]
    regions: Regions | None  # the objects at image size, where the data set knows them
    ignore: Regions | None  # pixels that count neither way, where it knows such
    size: tuple[int, int]  # height and width of the images


class Trunk(NamedTuple):
    """A backbone with what it expects of an image; `plain` says whether its own classifier was trained on the data."""

    model: VisionModel
    plain: bool

    def features(self, images: Tensor) -> Features:
        """The last feature map of images in [0, 1]."""
        found: Tensor = self.model.module.forward_features(self.model.normalise(images))  # type: ignore[operator]
        return found

    def logits(self, features: Features) -> Tensor:
        """The plain model's, from its features."""
        found: Tensor = self.model.module.forward_head(features)  # type: ignore[operator]
        return found


def trunk(settings: ErsmSettings, seed: int, path: Path, *, device: str, progress: bool) -> Trunk:
    """The backbone of a training: read from `path` where an earlier start left it, else trained or loaded."""
    name = f"timm:{settings.backbone}"
    if not settings.trains_backbone:
        given: dict[str, Any] = {"checkpoint": settings.checkpoint} if settings.checkpoint else {"pretrained": True}
        model = load_model(name, device=device, **given, **settings.factory)
        model.preprocessing = replace(model.preprocessing, mode="crop", crop_pct=CROP, interpolation="bilinear")
        return Trunk(_spatial(model, settings.patch_size), plain=False)
    if not path.is_file():
        data = learnt_from(settings, seed, Preprocessing((64, 64)))
        size = data.preprocessing.size
        fresh = load_model(name, pretrained=False, input_size=size, **settings.factory)
        _spatial(fresh, settings.patch_size)  # refused before it is trained
        recipe: Recipe = replace(settings.backbone_recipe, seed=seed)
        module = train_plain(data, recipe, backbone=settings.backbone, factory=settings.factory, progress=progress)
        shape = data.preprocessing
        trained = VisionModel(module, name=name, label="plain", mean=HALF, std=HALF, preprocessing=shape)
        keywords = {"name": name, "label": "plain", "num_classes": len(data.classes), **settings.factory}
        save_model(trained, path, recipe=keywords)
    return Trunk(_spatial(load_model(path, device=device), settings.patch_size), plain=True)


def learnt_from(settings: ErsmSettings, seed: int, shape: Preprocessing) -> Data:
    """The training images; generated ones are drawn anew for each seed."""
    return _loaded(settings, settings.train_split, settings.train, seed, shape)


def judged_on(settings: ErsmSettings, split: str, shape: Preprocessing) -> Data:
    """The images of a split, the same for every seed."""
    return _loaded(settings, split, settings.test, 0, shape)


def _loaded(settings: ErsmSettings, split: str, n: int | None, seed: int, shape: Preprocessing) -> Data:
    table = dict(settings.data)
    own = DATA[table["name"]].generated or "size" in table
    data = load_data(**table, split=split, n=n, seed=seed, preprocessing=None if own else shape)
    if "labels" not in data.knows:
        raise DataError(f"study ersm needs labels, but data {data.name!r} have none")
    return data


def frozen(backbone: Trunk, data: Data, path: Path) -> Frozen:
    """Features of a data set through the backbone in eval mode, written to `path` and mapped from there."""
    facts, features = [], None
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp.npy")
    count = 0
    with torch.inference_mode():
        for batch in usable(data):
            part = backbone.features(batch.images.to(backbone.model.device)).float().cpu().numpy()
            if features is None:
                shape = (len(data), *part.shape[1:])
                features = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.float32, shape=shape)
            features[count : count + len(part)] = part
            count += len(part)
            facts.append((batch.labels, batch.ids, batch.regions, batch.ignore))
    if features is None:
        raise DataError(f"none of the images of {data.name!r} can be read")
    features.flush()
    unfinished.replace(path)
    labels, ids, regions, ignore = zip(*facts, strict=True)
    return Frozen(
        torch.from_numpy(np.load(path, mmap_mode="c")[:count]),  # c: pages are read when asked for, none is written
        torch.cat(labels),
        tuple(name for names in ids for name in names),
        torch.cat(regions) if "regions" in data.knows else None,
        torch.cat(ignore) if "ignore" in data.knows else None,
        data.preprocessing.size,
    )


def usable(data: Data, most: int | None = None) -> Iterator[Batch]:
    """The batches of a data set without images that cannot be read, up to `most` images."""
    left = len(data) if most is None else most
    for start, stop in data.slices:
        if left <= 0:
            return
        batch = data.batch(start, min(stop, start + left))
        left -= len(batch)
        good = [place for place, fault in enumerate(batch.faults or ("",) * len(batch)) if not fault]
        if good:
            yield batch if len(good) == len(batch) else _rows(batch, good)


def _rows(batch: Batch, rows: list[int]) -> Batch:
    return Batch(
        images=batch.images[rows],
        ids=tuple(batch.ids[row] for row in rows),
        labels=None if batch.labels is None else batch.labels[rows],
        regions=None if batch.regions is None else batch.regions[rows],
        ignore=None if batch.ignore is None else batch.ignore[rows],
    )


def _spatial(model: VisionModel, patch_size: int) -> VisionModel:
    """The model, refused where it gives no feature map (B, C, h, w) that can be cut into patches."""
    probe = torch.zeros(1, 3, *model.input_size, device=model.device)
    place = cut(model.module, None, probe, title=f"backbone {model.name!r} of study ersm")
    with torch.no_grad():
        EnergyMask(place.map[0], patch_size)(torch.zeros(1, *place.map))
    return model
