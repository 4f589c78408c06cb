"""One training of the study: a backbone, and every mask and head on it; made once, when first asked for."""

import copy
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save
from torch import Tensor, nn

from xai_bench.adapters import VisionModel, load_model
from xai_bench.adapters.checkpoint import save_model
from xai_bench.data import Data
from xai_bench.digests import file_digest
from xai_bench.ersm import ErsmModel
from xai_bench.seeding import digest
from xai_bench.studies.ersm.frozen import Frozen, Trunk, frozen, judged_on, learnt_from, trunk
from xai_bench.studies.ersm.heads import Elsewhere, Variant, train_head, train_heads
from xai_bench.studies.ersm.settings import MAIN, RECIPES, ErsmSettings
from xai_bench.whole import write_whole

VERSION = 1  # bump when a number of the study changes, so that what an older one kept is not taken for it
NOT_DECIDING = ("seeds", "margin")  # settings that change no number that one training measures
NOT_LEARNT_FROM = ("splits", "test", "occluded", "areas", "fractions", "cell", "fills")  # nor by
CHUNK = 250  # images looked at together


class Training:
    """What one seed learnt; files of it lie in `folder`."""

    def __init__(
        self, settings: ErsmSettings, seed: int, folder: Path, *, device: str = "auto", progress: bool = True
    ) -> None:
        self.settings, self.seed, self.folder = settings, seed, folder
        self.device, self.progress = device, progress
        self._judged: dict[str, Frozen] = {}

    @cached_property
    def decides(self) -> dict[str, Any]:
        """Everything that decides what this training measures."""
        given = {item.name: getattr(self.settings, item.name) for item in fields(self.settings)}
        weights = file_digest(Path(self.settings.checkpoint)) if self.settings.checkpoint else ""
        own = {"version": VERSION, "seed": self.seed, "checkpoint holds": weights}
        return {name: value for name, value in given.items() if name not in NOT_DECIDING} | own

    @cached_property
    def _name(self) -> str:
        """Stands for everything that decides the weights."""
        facts = sorted((name, value) for name, value in self.decides.items() if name not in NOT_LEARNT_FROM)
        return f"{self.seed}-{digest(facts)}"

    @cached_property
    def trunk(self) -> Trunk:
        """The backbone."""
        path = self.folder / "models" / f"plain-{self._name}.safetensors"
        return trunk(self.settings, self.seed, path, device=self.device, progress=self.progress)

    @cached_property
    def learnt(self) -> Frozen:
        """The training images as the backbone sees them."""
        return self._frozen(learnt_from(self.settings, self.seed, self.trunk.model.preprocessing), "train")

    def data(self, split: str) -> Data:
        """The images of a split that is judged."""
        return judged_on(self.settings, split, self.trunk.model.preprocessing)

    def judged(self, split: str) -> Frozen:
        """A split as the backbone sees it."""
        if split not in self._judged:
            self._judged[split] = self._frozen(self.data(split), split)
        return self._judged[split]

    @cached_property
    def masks(self) -> dict[Variant, ErsmModel]:
        """Every energy mask with its head."""
        return {variant: self._ersm(str(variant), variant) for variant in self.settings.variants}

    @cached_property
    def heads(self) -> dict[str, nn.Linear]:
        """The published baseline, a head without a mask, by each recipe."""
        return {recipe: self._linear(recipe) for recipe in RECIPES}

    @cached_property
    def main(self) -> dict[str, ErsmModel]:
        """The masks that are looked at closely, by name."""
        return {name: self.masks[variant] for name, variant in MAIN.items()}

    def whole(self, name: str) -> VisionModel:
        """A main model with its own copy of the backbone, in a file that `load_model` loads by itself."""
        path = self.folder / "models" / f"{name.replace(', ', '-').replace(' ', '-')}-{self._name}.safetensors"
        if not path.is_file():
            backbone, part, variant = self.trunk.model, self.main[name], MAIN[name]
            model = ErsmModel(copy.deepcopy(backbone.module), num_classes=part.head.out_features, mask=part.mask)
            model.head.load_state_dict(part.head.state_dict())
            kind = f"ersm:{self.settings.backbone}"
            whole = VisionModel(
                model, name=kind, label=name, mean=backbone.mean, std=backbone.std, preprocessing=backbone.preprocessing
            )
            mask = {"patch_size": self.settings.patch_size, **variant.keywords}
            keywords = {"name": kind, "label": name, "num_classes": part.head.out_features, **self.settings.factory}
            save_model(whole, path, recipe={**keywords, **mask})
        return load_model(path, device=self.device)

    def forget(self) -> None:
        """Take away the files of features."""
        self._judged.clear()
        self.__dict__.pop("learnt", None)
        for path in (self.folder / "features").glob(f"*-{self._name}.npy"):
            path.unlink()

    def chunks(self, split: str) -> Iterator[tuple[slice, Tensor]]:
        """Rows and features of a split, a few images at a time."""
        features = self.judged(split).features
        for start in range(0, len(features), CHUNK):
            rows = slice(start, start + CHUNK)
            yield rows, features[rows]

    @cached_property
    def _weights(self) -> dict[str, Tensor]:
        """Of every mask and head, trained where an earlier start did not."""
        path = self.folder / "models" / f"heads-{self._name}.safetensors"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, save(self._trained()))
        return dict(load_file(path))

    def _trained(self) -> dict[str, Tensor]:
        features, labels, classes = self.learnt.features, self.learnt.labels, self._classes
        weights: dict[str, Tensor] = {}
        for name in RECIPES:
            recipe = replace(self.settings.recipe_of(name), seed=self.seed)
            head = train_head(features, labels, recipe, num_classes=classes, progress=self.progress)
            weights |= _prefixed(f"head, {name} recipe", head)
            variants = [variant for variant in self.settings.variants if variant.recipe == name]
            size = self.settings.patch_size
            models = train_heads(
                features, labels, variants, recipe, num_classes=classes, patch_size=size, progress=self.progress
            )
            for variant, model in zip(variants, models, strict=True):
                weights |= _prefixed(str(variant), model)
        return weights

    @property
    def _classes(self) -> int:
        return len(learnt_from(self.settings, self.seed, self.trunk.model.preprocessing).classes)

    def _ersm(self, name: str, variant: Variant) -> ErsmModel:
        own = _own(self._weights, name)
        count, channels = own["head.weight"].shape
        mask = variant.mask(channels, self.settings.patch_size)
        model = ErsmModel(Elsewhere(), num_classes=count, mask=mask)
        model.load_state_dict(own)
        return model.eval().requires_grad_(requires_grad=False)

    def _linear(self, recipe: str) -> nn.Linear:
        own = _own(self._weights, f"head, {recipe} recipe")
        count, channels = own["weight"].shape
        head = nn.Linear(channels, count)
        head.load_state_dict(own)
        return head.eval().requires_grad_(requires_grad=False)

    def _frozen(self, data: Data, name: str) -> Frozen:
        return frozen(self.trunk, data, self.folder / "features" / f"{name}-{self._name}.npy")


def _prefixed(name: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{name}|{key}": value.detach().clone().contiguous() for key, value in module.state_dict().items()}


def _own(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    found = {key.removeprefix(f"{name}|"): value for key, value in weights.items() if key.startswith(f"{name}|")}
    return {key: value.clone() for key, value in found.items()}
