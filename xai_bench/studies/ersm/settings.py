"""What the ERSM study is about: data, backbone, sweep and occlusions; the defaults are the embedded experiment."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar

from xai_bench.adapters.checkpoint import check_exists
from xai_bench.catalogue import check_values
from xai_bench.data import CATALOGUE as DATA
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.studies.ersm.heads import Variant
from xai_bench.studies.given import check_data
from xai_bench.toml import located, read_toml
from xai_bench.training import Recipe
from xai_bench.training.demo import ERSM, FACTORY, LOCAL, MASK, PLAIN, SIZE
from xai_bench.training.recipe import recipe_of
from xai_bench.types import Card

Table = Mapping[str, Any]
PUBLISHED = Variant("published", "closed", learnt=False, unary=1e-3, pairwise=1e-3)
ROBUST = Variant("fast", "open", learnt=True, unary=0.1, pairwise=0.1)
MAIN: Mapping[str, Variant] = {  # the masks that are looked at closely
    "published": PUBLISHED,
    "published, no energy": replace(PUBLISHED, unary=0.0, pairwise=0.0),
    "robust": ROBUST,
    "robust, no energy": replace(ROBUST, unary=0.0, pairwise=0.0),
    "demo": replace(ROBUST, unary=MASK["unary_weight"], pairwise=MASK["pairwise_weight"]),
}
RECIPES = ("published", "fast")
GIVEN_BY = {"split": "train_split and splits", "n": "train and test", "seed": "seeds", "label": "splits"}
PLAINLY = {"augment": "none"}  # features are computed once
PRESETS_OF = {"recipe": "ersm", "fast_recipe": "ersm_quick", "backbone_recipe": "scratch"}  # what a table changes
FILLS: Mapping[str, object] = {"mean": "fill", "black": {"name": "fill", "colour": "black"}, "blur": "blur"}


@dataclass(frozen=True)
class ErsmSettings:
    """The study, as a TOML file fills it; `xai-bench study ersm` without one takes the defaults.

    A backbone is trained here, end to end, from random weights, unless it is `pretrained` or has a `checkpoint`; then
    there is no plain model beside the head on frozen features, which is the published baseline.
    """

    card: ClassVar[Card] = Card("study ersm", source="arXiv 2604.06893; protocols partly ours")

    data: Table = field(default_factory=lambda: {"name": "planted", "size": SIZE})  # keys of load_data
    train_split: str = "train"
    splits: tuple[str, ...] = ("test", "shifted")  # that are judged; occlusions take the first
    train: int | None = 5000  # images; None: all there are
    test: int | None = 1000  # images of each split
    occluded: int = 300  # images of the first split, each under every occlusion
    seeds: tuple[int, ...] = (0, 1, 2)  # one backbone, where it is trained, and one set of masks each
    backbone: str = "test_resnet"  # a timm CNN
    factory: Table = field(default_factory=lambda: {**FACTORY, **LOCAL})  # further keywords of timm.create_model
    pretrained: bool = False
    checkpoint: str | None = None
    backbone_recipe: Recipe = PLAIN
    recipe: Recipe = recipe_of("ersm", PLAINLY)  # noqa: RUF009 - of masks and heads: the published one
    fast_recipe: Recipe = ERSM  # a second one for all of them: the demo's, of a thirty times higher rate
    patch_size: int = 1
    weights: tuple[float, ...] = (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of lambda = gamma
    areas: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5)  # of one square, as shares of the image
    fractions: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)  # of the cells of a grid
    cell: int = 8  # pixels: the side of a grid's cells
    fills: tuple[str, ...] = ("mean", "black", "blur")
    margin: float = 0.01  # accuracy that may be lost and still count as preserved

    def __post_init__(self) -> None:
        check_values(self)
        self._check("seeds", "two or more different numbers", len(set(self.seeds)) == len(self.seeds) >= 2)
        self._check("splits", "one or more names", bool(self.splits))
        for name in ("weights", "margin"):
            values = getattr(self, name)
            values = values if isinstance(values, tuple) else (values,)
            self._check(name, "0 or more", bool(values) and all(0 <= value < math.inf for value in values))
        for name in ("areas", "fractions"):
            values = getattr(self, name)
            rising = values == tuple(sorted(set(values)))
            self._check(name, "rising shares in (0, 1)", bool(values) and rising and 0 < values[0] <= values[-1] < 1)
        for name in ("occluded", "patch_size", "cell"):
            self._check(name, "a whole number from 1", getattr(self, name) >= 1)
        for name in ("train", "test"):
            self._check(
                name, "a whole number from 1, or left out", getattr(self, name) is None or getattr(self, name) > 0
            )
        self._check_recipes()
        self._check("splits", "different names", len(set(self.splits)) == len(self.splits))
        if self.checkpoint is not None:
            check_exists(Path(self.checkpoint))
        check_data(self.data, "ersm", GIVEN_BY)
        kind = DATA[self.data["name"]]
        for split in (self.train_split, *self.splits):
            if split not in kind.splits:
                raise UnknownNameError.of(f"split of {self.data['name']}", split, kind.splits)
        for fill in self.fills:
            if fill not in FILLS:
                raise UnknownNameError.of("fill", fill, FILLS)

    def _check_recipes(self) -> None:
        """What would not be carried out is refused."""
        for name in PRESETS_OF:
            given = getattr(self, name)
            why = "it sees each image as it is" if name == "backbone_recipe" else "features are computed once"
            self._check(name, f"without augment, since {why}", given.augment == Recipe().augment)
            if given.precision != Recipe().precision:
                raise InvalidValueError(
                    f"precision of {name} of study ersm must be {Recipe().precision!r}, got {given.precision!r}"
                )

    def _check(self, name: str, allowed: str, kept: bool) -> None:  # noqa: FBT001 - reads as a sentence
        if not kept:
            raise InvalidValueError(f"{name} of study ersm must be {allowed}, got {getattr(self, name)!r}")

    @property
    def trains_backbone(self) -> bool:
        """Whether the backbone's first weights are random, so that it has to be trained here."""
        return not (self.pretrained or self.checkpoint)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Every mask that is trained: the sweep of both recipes and all starts, the demo's weights, and gamma = 0."""
        pairs = [*((weight, weight) for weight in self.weights), (MAIN["demo"].unary, MAIN["demo"].pairwise)]
        pairs += [(main.unary, 0.0) for main in (PUBLISHED, ROBUST)]
        swept = (
            Variant(recipe, start, learnt, *weights)  # type: ignore[arg-type]
            for recipe in RECIPES
            for start in ("closed", "open")
            for learnt in (False, True)
            for weights in pairs
        )
        return tuple(dict.fromkeys((*MAIN.values(), *swept)))

    def recipe_of(self, name: str) -> Recipe:
        """The recipe that a variant names."""
        return self.recipe if name == "published" else self.fast_recipe

    @classmethod
    def read(cls, path: Path) -> "ErsmSettings":
        """The settings in a TOML file; relative paths start at its folder."""
        return cls.of(located(read_toml(path, "settings"), path.parent, "study"))

    @classmethod
    def of(cls, table: Table) -> "ErsmSettings":
        """The settings in a parsed table."""
        known = [item.name for item in fields(cls)]
        for key in table:
            if key not in known:
                raise UnknownNameError.of("key of study ersm", key, known)
        return cls(**{key: _value(key, value) for key, value in table.items()})


def _value(key: str, value: Any) -> Any:
    """TOML's lists are tuples here, its tables recipes where a recipe belongs, and its 1 may stand for 1.0."""
    if key in PRESETS_OF and isinstance(value, Mapping):
        return recipe_of(PRESETS_OF[key], PLAINLY, value)
    if key == "margin" and type(value) is int:
        return float(value)
    if isinstance(value, list):
        whole = key == "seeds"
        return tuple(float(item) if type(item) is int and not whole else item for item in value)
    return value
