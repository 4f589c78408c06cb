"""The models of the CAMAL study: for each seed a plain one, and what each loss on attention makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from xai_bench.adapters import VisionModel, load_model
from xai_bench.adapters.checkpoint import save_model
from xai_bench.ersm import AttentionLoss
from xai_bench.seeding import digest
from xai_bench.studies.camal.settings import CamalSettings
from xai_bench.training import Recipe, Trainer
from xai_bench.training.camal import Camal
from xai_bench.training.memory import Memory
from xai_bench.training.plain import Plain
from xai_bench.training.train import train

Kind = TypeVar("Kind", bound=Trainer)
VERSION = 1  # bump when training itself changes, so that models in a folder are not taken for new ones


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
        trainer = self._trainer(
            Plain, "plain", pretrained=self.settings.pretrained, checkpoint=self.settings.checkpoint
        )
        return self._trained(trainer, self.settings.plain_recipe, self.settings.plain)

    def guided(self, name: str, loss: AttentionLoss) -> VisionModel:
        """The plain model after it went on with this loss on its attention; the control's has no weight."""
        own = {"backbone_of": "plain", "classifier": "kept", "loss": loss, "layer": self.settings.layer}
        trainer = self._trainer(Camal, name, mean=self.plain.mean, std=self.plain.std, **own)
        return self._trained(trainer, self.settings.recipe, self.settings.guided, self.plain)

    def _trainer(self, kind: type[Kind], name: str, **fields: Any) -> Kind:
        return kind(label=name, backbone=self.settings.backbone, factory=self.settings.factory, **fields)

    def _trained(self, trainer: Trainer, recipe: Recipe, n: int, start: VisionModel | None = None) -> VisionModel:
        data, recipe = self.settings.learnt_from(self.seed, n), replace(recipe, seed=self.seed)
        first = start.fingerprint if start else ""
        known = digest(VERSION, data.fingerprint, data.preprocessing, recipe, trainer, first)
        path = self.folder / f"{trainer.label.replace(', ', '-').replace(' ', '-')}-seed{self.seed}-{known}.safetensors"
        if not path.is_file():
            begun = Memory(self.folder / "begun" / path.name, {"label": trainer.label, "seed": self.seed})
            model, _ = train(
                trainer,
                data,
                recipe,
                backbone=start.module.state_dict() if start else None,
                keeper=begun,
                device=self.device,
                progress=self.progress,
            )
            save_model(model, path, recipe=trainer.keywords(len(data.classes)))
            begun.path.unlink(missing_ok=True)
        return load_model(path, label=trainer.label, layer=self.settings.layer or None, device=self.device)


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
