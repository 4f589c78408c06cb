"""How long, how fast and on what variations of its images a model is trained."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, get_args

from timm.optim import list_optimizers  # type: ignore[attr-defined]

from xai_bench.catalogue import Catalogue
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.training.augment import AUGMENTATIONS, Augmentation, Light, Unchanged
from xai_bench.types import Card

Schedule = Literal["cosine", "poly", "tanh", "constant"]  # timm's; poly is a straight line
# They keep what no JSON holds, or want gradients of gradients.
UNFIT = {"adafactorbv", "adafactorbvc", "cadafactorbv", "cadafactorbvc", "adahessian"}
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Recipe:
    """Epochs, batches, the optimiser and its rate, augmentation; `PRESETS` holds the ones that have a name."""

    card: ClassVar[Card] = Card("recipe", source="ours", summary="how a model is trained")

    epochs: int = 20
    batch_size: int = 32
    lr: float = 1e-3
    weight_decay: float = 1e-4
    warmup: float = 0.0  # share of the steps in which the rate climbs to lr; then it falls along the schedule
    seed: int = 0
    optimiser: str = "adamw"  # a name of timm.optim.list_optimizers()
    schedule: Schedule = "cosine"
    stepped: Literal["update", "epoch"] = "update"  # when the rate changes
    backbone_lr: float = 1.0  # rate of a learning backbone's weights, as a share of lr
    augment: Augmentation = field(default_factory=Unchanged)  # or its name
    precision: Precision = "fp32"  # bf16: forward passes in bfloat16, weights and optimiser in float32

    def __post_init__(self) -> None:
        object.__setattr__(self, "augment", AUGMENTATIONS.build(self.augment))
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise InvalidValueError(f"{name} must be a whole number from 1, got {getattr(self, name)!r}")
        for name in ("lr", "backbone_lr"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InvalidValueError(f"{name} must be above 0, got {getattr(self, name)!r}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise InvalidValueError(f"weight_decay must be 0 or more, got {self.weight_decay!r}")
        if not 0 <= self.warmup < 1:
            raise InvalidValueError(f"warmup must be a share in [0, 1), got {self.warmup!r}")
        choices = {
            "optimiser": [name for name in list_optimizers() if name not in UNFIT],
            "schedule": get_args(Schedule),
            "stepped": ("update", "epoch"),
            "precision": get_args(Precision),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UnknownNameError.of(f"{name} of a recipe", getattr(self, name), allowed)


RECIPES = Catalogue("training", Recipe, (Recipe,), nested=(AUGMENTATIONS,))
PRESETS: Mapping[str, Recipe] = {
    # a small network from random weights, on generated images: the demo's
    "scratch": Recipe(epochs=4, batch_size=32, lr=5e-3, weight_decay=0.05, warmup=0.3),
    # arXiv 2604.06893, from the authors' code; backbone_lr is ours, for finetune, which they do not do
    "ersm": Recipe(stepped="epoch", augment=Light(), backbone_lr=0.1),
    # an energy mask on features computed once, in seconds: the demo's
    "ersm_quick": Recipe(epochs=6, batch_size=64, lr=3e-2),
    # a pretrained network, end to end
    "finetune": Recipe(lr=5e-4, weight_decay=0.05, warmup=0.1, augment=Light(), backbone_lr=0.1),
}


def recipe_of(preset: str, *tables: Mapping[str, Any]) -> Recipe:
    """The recipe of a preset with keys of its own; a later table wins, and may name another preset.

    A wrong preset, key or value is refused with the nearest.
    """
    given: dict[str, Any] = {}
    for table in tables:
        given |= table
    name = given.pop("preset", preset)
    if name not in PRESETS:
        raise UnknownNameError.of("preset of a recipe", name, PRESETS)
    if "seed" in given:
        raise InvalidValueError("seed of a recipe is given by the suite's seeds, one model for each")
    own = {item.name: getattr(PRESETS[name], item.name) for item in fields(Recipe)}
    return RECIPES.build({"name": "recipe", **own, **given})
