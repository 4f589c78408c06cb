"""The two small models of `xai-bench demo`: a plain CNN and an ERSM on its backbone, on planted data."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from xai_bench.adapters import Preprocessing, VisionModel, load_model
from xai_bench.adapters.checkpoint import save_model
from xai_bench.data import Data, load_data
from xai_bench.ersm import EnergyMask
from xai_bench.seeding import digest
from xai_bench.training.ersm import train_ersm
from xai_bench.training.plain import HALF, train_plain
from xai_bench.training.recipe import PRESETS

VERSION = 1  # bump when training itself changes, so that models in a folder are not taken for new ones
SIZE = 64
CHANNELS = 96  # of test_resnet's last feature map
FACTORY: Mapping[str, Any] = {"output_stride": 8, "avg_down": False}  # 8 x 8 tokens at 64 pixels
MASK: Mapping[str, Any] = {"mode": "stable", "start": -6.0, "unary_weight": 0.1, "pairwise_weight": 0.3}
PLAIN, ERSM = PRESETS["scratch"], PRESETS["ersm_quick"]
# A map of the last features can only point at the object if they lie where the object is. Two things of a stride held
# at 8 by dilation move them away, measured by where CAM and mask peak: average pools padded on one side (off by
# avg_down), and the last block's 3 x 3 convolutions, dilated to reach across the whole grid. Stochastic depth drops
# that block's residual branch always, so that it stays the zero it starts from and the block is its shortcut.
LOCAL: Mapping[str, Any] = {"drop_path_rate": 1.0}


class DemoModels(NamedTuple):
    """The pair that the demo compares."""

    plain: VisionModel
    ersm: VisionModel


def demo_models(folder: str | Path | None = None, *, n: int = 5000, seed: int = 0, progress: bool = True) -> DemoModels:
    """Both models, trained on `n` planted images; loaded where `folder` holds them, else written to it if given.

    The files load by themselves: `load_model(path)`.
    """
    data = load_data("planted", split="train", n=n, seed=seed, size=SIZE, batch_size=256)
    if folder is None:
        return _trained(data, seed, progress=progress)
    settings = digest(VERSION, data.fingerprint, PLAIN, ERSM, seed, FACTORY, LOCAL, MASK)
    paths = [Path(folder) / f"{name}-{settings}.safetensors" for name in DemoModels._fields]
    if not all(path.is_file() for path in paths):
        for model, path in zip(_trained(data, seed, progress=progress), paths, strict=True):
            save_model(model, path, recipe=_recipe(model, data))
    return DemoModels(*map(load_model, paths))


def _trained(data: Data, seed: int, *, progress: bool) -> DemoModels:
    plain = train_plain(data, replace(PLAIN, seed=seed), factory={**FACTORY, **LOCAL}, progress=progress)
    mask = EnergyMask(CHANNELS, **MASK)
    ersm = train_ersm(plain, data, replace(ERSM, seed=seed), mask=mask, progress=progress)
    return DemoModels(_wrapped(plain, "timm:test_resnet", "plain"), _wrapped(ersm, "ersm:test_resnet", "ersm"))


def _wrapped(module: nn.Module, name: str, label: str) -> VisionModel:
    shape = Preprocessing((SIZE, SIZE))
    return VisionModel(module, name=name, label=label, mean=HALF, std=HALF, preprocessing=shape)


def _recipe(model: VisionModel, data: Data) -> dict[str, Any]:
    """The keywords of `load_model` that build the module."""
    mask = MASK if model.name.startswith("ersm:") else {}
    return {"name": model.name, "label": model.label, "num_classes": len(data.classes), **FACTORY, **mask}
