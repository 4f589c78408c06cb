"""A stored run that never was: as many rows, curves and panels as one likes, without a model."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xai_bench.runs.run import Panel
from xai_bench.runs.store import SCHEMA, Folder, Unit

SPEC = "removal=blur(sigma=0.1,kernel=gaussian);unit=pixel;order=morf;ties=random;output=probability;target=predicted"
CONTROLS = ("random", "centre")
SIDE = 224


@dataclass(frozen=True)
class Shape:
    """How large the run is; the first explainers are the best, the last are the controls."""

    images: int
    models: int = 1
    explainers: int = 10
    metrics: int = 10
    curves: int = 6  # metrics with a curve; hits are the last two of the others
    steps: int = 28
    batch: int = 50
    gallery: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Explainers."""
        return (*(f"explainer{number}" for number in range(self.explainers - len(CONTROLS))), *CONTROLS)

    def is_hit(self, metric: int) -> bool:
        """Whether its scores are 0 or 1."""
        return metric >= max(self.curves, self.metrics - 2)

    def info(self) -> dict[str, Any]:
        """Its run.json."""
        return {
            "schema": SCHEMA,
            "created": "2026-01-01T00:00:00+00:00",
            "seed": 0,
            "target": "predicted",
            "precision": "fp32",
            "models": {f"model{number}": {"fingerprint": "0123456789ab"} for number in range(self.models)},
            "data": {"data": {"fingerprint": "ba9876543210", "n": self.images}},
            "explainers": {
                name: {"name": name, "spec": f"{name}()", "kind": "control" if name in CONTROLS else "post-hoc"}
                for name in self.names
            },
            "metrics": {f"metric{number}": self._card(number) for number in range(self.metrics)},
        }

    def units(self) -> Iterator[Unit]:
        """One model x one batch each."""
        rng = np.random.default_rng(0)
        for model in range(self.models):
            for start in range(0, self.images, self.batch):
                yield self._unit(rng, f"model{model}", range(start, min(start + self.batch, self.images)))

    def _unit(self, rng: np.random.Generator, model: str, images: range) -> Unit:
        unit, fractions = Unit(), np.linspace(0, 1, self.steps).tolist()
        for place, explainer in enumerate(self.names):
            skill = 1 - place / self.explainers
            stamp = (0, "fp32", "cpu", "model=0123456789ab;data=ba9876543210", f"{explainer}()")
            for metric in range(self.metrics):
                cell = ("data", model, explainer, f"metric{metric}")
                for image in images:
                    score = float(rng.random() < skill) if self.is_hit(metric) else float(rng.beta(1 + skill, 2))
                    unit.rows.append((*cell, 1, SPEC, f"{image:06}", 3, score, "", np.nan, 0.8, *stamp))
                    if metric < self.curves:
                        values = rng.random(self.steps).tolist()
                        unit.points.extend(
                            (*cell, f"{image:06}", *point) for point in zip(fractions, values, strict=True)
                        )
        unit.panels = [self._panel(rng, model, image) for image in images if image < self.gallery]
        return unit

    def _panel(self, rng: np.random.Generator, model: str, image: int) -> Panel:
        """A disc on noise, and maps that find it or not."""
        y, x = np.mgrid[:SIDE, :SIDE]
        centre = rng.integers(60, 160, 2)
        near = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / 2000)
        picture = (255 * near[..., None] * np.array([1, 0.6, 0.2])).astype(np.uint8)
        maps = {
            (model, name): (near * (1 - place / self.explainers) + rng.normal(0, 0.1, near.shape)).astype(np.float32)
            for place, name in enumerate(self.names)
        }
        return Panel("data", f"{image:06}", picture, near > 0.5, maps)

    def _card(self, number: int) -> dict[str, Any]:
        area = {"family": "faithfulness", "degree": 1} if number < self.curves else {"family": "localisation"}
        facts = {"name": f"metric{number}", "scope": "image", "reduction": "mean", "version": 1, "spec": SPEC}
        return facts | area | {"better": "higher", "low": 0.0, "high": 1.0, "source": "nobody", "summary": ""}


def write(shape: Shape, folder: Path) -> None:
    """Store it in a run folder."""
    with Folder(folder, shape.info(), "seed = 0\n") as sink:
        for unit in shape.units():
            sink.add(unit)
