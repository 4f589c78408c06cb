"""What a run holds, as the store gives it back: frames, cards, provenance and a few pictures. No torch."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# One row per data set x model x explainer x metric x image; metrics of a whole set have sample "*".
# Metrics that need no map have explainer "none".
SCORE_COLUMNS = (
    "data",
    "model",
    "explainer",
    "metric",
    "version",
    "spec",
    "sample",
    "target",
    "score",
    "reason",
    "error",  # estimate of the score's numerical error; nan where it is exact
    "clean",  # the output of the unaltered image that the score is a function of; nan where it is none
    "seed",
    "precision",
    "device",
    "fingerprints",
    "explainer_spec",
)
# One row per point of a per-image curve or record; `fraction` is the share removed (deletion) or shown (insertion).
CURVE_COLUMNS = ("data", "model", "explainer", "metric", "sample", "fraction", "value")


@dataclass(frozen=True)
class Panel:
    """One image of the gallery with its maps."""

    data: str
    sample: str
    image: NDArray[np.uint8]  # (H, W, 3)
    region: NDArray[np.bool_] | None  # (H, W)
    maps: Mapping[tuple[str, str], NDArray[np.float32]]  # (model, explainer) -> (H, W)


@dataclass(frozen=True)
class Run:
    """Everything that reports, statistics and the gate read."""

    scores: pd.DataFrame  # SCORE_COLUMNS
    curves: pd.DataFrame  # CURVE_COLUMNS
    # metric label as in `scores` -> {name, better, low, high, scope, reduction, source, version, summary}
    cards: Mapping[str, Mapping[str, Any]]
    # explainer label as in `scores` -> {name, kind (as in types.ExplainerCard), source, version, summary}
    explainers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)  # run.json: versions, machine, models, data, seed, notes
    gallery: tuple[Panel, ...] = ()

    def points(self, metrics: Collection[str]) -> pd.DataFrame:
        """The rows of `curves` of these metrics."""
        return self.curves[self.curves["metric"].isin(list(metrics))]


class StoredRun(Run):
    """A run whose curves and gallery are read when they are first asked for."""

    def __init__(
        self,
        scores: pd.DataFrame,
        curves: pd.DataFrame | Callable[[Collection[str] | None], pd.DataFrame],
        cards: Mapping[str, Mapping[str, Any]],
        explainers: Mapping[str, Mapping[str, Any]],
        info: Mapping[str, Any],
        gallery: tuple[Panel, ...] | Callable[[], tuple[Panel, ...]],
    ) -> None:
        facts = {"scores": scores, "cards": cards, "explainers": explainers, "info": info}
        self.__dict__.update(facts | {"_curves": curves, "_gallery": gallery})

    @cached_property
    def curves(self) -> pd.DataFrame:
        """CURVE_COLUMNS."""
        curves = self.__dict__["_curves"]
        frame: pd.DataFrame = curves(None) if callable(curves) else curves
        return frame

    @cached_property
    def gallery(self) -> tuple[Panel, ...]:
        """One panel per image."""
        gallery = self.__dict__["_gallery"]
        panels: tuple[Panel, ...] = gallery() if callable(gallery) else gallery
        return panels

    def points(self, metrics: Collection[str]) -> pd.DataFrame:
        """Only the rows of these metrics are read."""
        curves = self.__dict__["_curves"]
        return curves(metrics) if callable(curves) and "curves" not in self.__dict__ else super().points(metrics)
