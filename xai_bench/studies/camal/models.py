"""The models of the CAMAL study: for each seed a plain one, and what each loss on attention makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xai_bench.adapters import Preprocessing, VisionModel, load_model
from xai_bench.adapters.checkpoint import save_model
from xai_bench.catalogue import describe
from xai_bench.data import Data
from xai_bench.ersm import AttentionLoss
from xai_bench.seeding import digest
from xai_bench.studies.camal.settings import CamalSettings
from xai_bench.training import Recipe, train_plain
from xai_bench.training.camal import Camal, train_camal
from xai_bench.training.plain import HALF

VERSION = 1  # bump when training itself changes, so that models in a folder are not taken for new ones
AT_64 = Preprocessing((64, 64))


@dataclass(frozen=True)
class Training:
    """One seed's models, each trained once and kept as `folder/NAME-seedS-DIGEST.safetensors`, loadable by itself."""

    settings: CamalSettings
    seed: int
    folder: Path
    device: str = "auto"
    progress: bool = True

    @cached_property
    def plain(self) -> VisionModel:
        """The classifier that all others go on from."""
        settings = self.settings
        given = {"pretrained": True} if settings.pretrained else {"checkpoint": settings.checkpoint}
        if any(given.values()):
            return load_model(
                f"timm:{settings.backbone}", label="plain", device=self.device, **given, **settings.factory
            )
        data = settings.learnt_from(self.seed, AT_64, settings.plain)
        path = self._path("plain", data, settings.plain_recipe)
        if not path.is_file():
            recipe = replace(settings.plain_recipe, seed=self.seed)
            module = train_plain(
                data, recipe, backbone=settings.backbone, factory=settings.factory, progress=self.progress
            )
            self._save(module, "plain", path, data, mean=HALF, std=HALF)
        return load_model(path, label="plain", device=self.device)

    def guided(self, name: str, loss: AttentionLoss) -> VisionModel:
        """The plain model after it went on with this loss on its attention; the control's has no weight."""
        settings, plain = self.settings, self.plain
        data = settings.learnt_from(self.seed, plain.preprocessing, settings.guided)
        path = self._path(name, data, settings.recipe, describe(loss), settings.layer, plain.fingerprint)
        if not path.is_file():
            trainer = Camal(label=name, loss=loss, layer=settings.layer)
            module = train_camal(
                plain.module,
                data,
                replace(settings.recipe, seed=self.seed),
                trainer=trainer,
                mean=plain.mean,
                std=plain.std,
                progress=self.progress,
            )
            self._save(module, name, path, data, mean=plain.mean, std=plain.std)
        return load_model(path, label=name, layer=settings.layer or None, device=self.device)

    def _path(self, name: str, data: Data, recipe: Recipe, *rest: object) -> Path:
        settings = self.settings
        own = (settings.backbone, sorted(settings.factory.items()), settings.pretrained, settings.checkpoint)
        known = digest(VERSION, name, self.seed, data.fingerprint, recipe, *own, *rest)
        return self.folder / f"{name.replace(', ', '-').replace(' ', '-')}-seed{self.seed}-{known}.safetensors"

    def _save(self, module: nn.Module, name: str, path: Path, data: Data, *, mean: Any, std: Any) -> None:
        source = f"timm:{self.settings.backbone}"
        model = VisionModel(module, name=source, label=name, mean=mean, std=std, preprocessing=data.preprocessing)
        save_model(model, path, recipe={"name": source, "num_classes": len(data.classes), **self.settings.factory})


def costs(model: VisionModel) -> Mapping[str, int]:
    """What one forward pass is made of: weights, layers that run, and their multiplications (convolutions, linears)."""
    counts = {"weights": sum(weight.numel() for weight in model.module.parameters()), "layers": 0, "multiplications": 0}

    def count(layer: nn.Module, _inputs: object, output: object) -> None:
        counts["layers"] += 1
        if isinstance(layer, nn.Conv2d | nn.Linear) and isinstance(output, torch.Tensor):
            places = output[0, 0].numel() if isinstance(layer, nn.Conv2d) else 1
            counts["multiplications"] += layer.weight.numel() * places

    hooks = [
        layer.register_forward_hook(count) for layer in model.module.modules() if next(layer.children(), None) is None
    ]
    try:
        with torch.inference_mode(), model.ready():
            model(torch.zeros(1, 3, *model.input_size, device=model.device))
    finally:
        for hook in hooks:
            hook.remove()
    return counts
