"""Carries a plan out in this process: explain, score, store, one batch of one model at a time."""

import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from xai_bench.adapters import VisionModel
from xai_bench.catalogue import code_digest, describe, label
from xai_bench.data import Data
from xai_bench.engine import Case, Scene
from xai_bench.engine.engine import CHUNK
from xai_bench.engine.precision import fp32
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.explainers import AnyExplainer, explain
from xai_bench.metrics import Metric
from xai_bench.metrics.metric import check_needs, score
from xai_bench.runs.run import Panel
from xai_bench.runs.store import SCHEMA, Cell, Done, Folder, Memory, Unit, fingerprints
from xai_bench.types import Batch, ExplainerCard, Maps, Scores, TargetRule

NONE = "none"  # the explainer of metrics that need no map


@dataclass(frozen=True)
class Plan:
    """Models x explainers x metrics x data, everything loaded and named."""

    models: Mapping[str, VisionModel]
    data: Mapping[str, Data]
    explainers: Mapping[str, Mapping[str, AnyExplainer]]  # per model
    metrics: Mapping[str, Mapping[str, Metric]]  # per data set
    seed: int = 0
    target: TargetRule = "predicted"
    gallery: int = 6
    notes: Sequence[str] = ()
    refusals: Mapping[tuple[str, str], str] = field(default_factory=dict)  # (model, explainer or metric) -> why

    def __post_init__(self) -> None:
        wanted = any("maps" in metric.needs for metrics in self.metrics.values() for metric in metrics.values())
        if wanted and not any(self.explainers.values()):
            raise InvalidValueError("the metrics need maps, but no explainer was given")
        object.__setattr__(self, "refusals", self._refusals())

    def _refusals(self) -> dict[tuple[str, str], str]:
        """What cannot work together; refused as a whole where it works with no model."""
        asked: dict[str, dict[str, str]] = {}
        for model_name, model in self.models.items():
            for name, explainer in self.explainers[model_name].items():
                unfit = getattr(explainer, "unfit", None)
                asked.setdefault(name, {})[model_name] = unfit(model) if unfit else ""
            for name, metric in {name: m for metrics in self.metrics.values() for name, m in metrics.items()}.items():
                asked.setdefault(name, {})[model_name] = metric.unfit(model)
        for answers in asked.values():
            if all(answers.values()):
                raise UnsupportedError(next(iter(answers.values())))
        return {(model, name): why for name, answers in asked.items() for model, why in answers.items() if why}

    def info(self) -> dict[str, Any]:
        """run.json: everything that a reader of the numbers may ask for."""
        explainers = {name: entry for entries in self.explainers.values() for name, entry in entries.items()}
        metrics = {name: entry for entries in self.metrics.values() for name, entry in entries.items()}
        return {
            "schema": SCHEMA,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": _versions(),
            "machine": _machine(),
            "seed": self.seed,
            "target": self.target,
            "precision": "fp32",
            "chunk": CHUNK,
            "notes": list(self.notes),
            "models": {name: _model_info(model) for name, model in self.models.items()},
            "data": {name: _data_info(data) for name, data in self.data.items()},
            "explainers": {name: _explainer_info(entry) for name, entry in explainers.items()},
            "metrics": {name: _metric_info(entry, self.target) for name, entry in metrics.items()},
        }


def execute(plan: Plan, sink: Memory | Folder, *, progress: bool | None = None) -> None:
    """Compute what the sink does not hold; the bar goes to stderr, and only to a terminal unless asked for."""
    done, info = sink.done(), plan.info()
    total = len(plan.models) * sum(len(data) for data in plan.data.values())
    quiet = None if progress is None else not progress
    with fp32(), tqdm(total=total, unit="image", disable=quiet, dynamic_ncols=True) as bar:
        for data_name, data in plan.data.items():
            seen = 0
            for batch in data:
                _check_labels(plan, batch)
                for model_name, model in plan.models.items():
                    bar.set_description(f"{model_name} on {data_name}")
                    panels = max(0, min(plan.gallery - seen, len(batch)))
                    work = _Work(plan, data_name, model_name, batch, done, panels)
                    sink.add(work.unit(model, info))
                    bar.update(len(batch))
                seen += len(batch)


def _check_labels(plan: Plan, batch: Batch) -> None:
    if plan.target == "label" and batch.labels is None:
        raise UnsupportedError("target 'label' needs labels, but the data have none")


@dataclass
class _Work:
    """One model, one batch: which cells are missing, and their rows."""

    plan: Plan
    data: str
    model: str
    batch: Batch
    done: Done
    panels: int

    def unit(self, model: VisionModel, info: Mapping[str, Any]) -> Unit:
        unit = Unit()
        groups = {name: metrics for name in self._explainers() if (metrics := self._missing(name))}
        if not groups:
            return unit
        targets = self.batch.labels if self.plan.target == "label" else None
        scene = Scene(model, self.batch, targets=targets, seed=self.plan.seed)
        kept: dict[tuple[str, str], Tensor] = {}
        for name, metrics in groups.items():
            maps = None if name == NONE else self._maps(name, scene)
            if maps is not None:
                kept[self.model, name] = maps[: self.panels].cpu()
            for metric_name, metric in metrics.items():
                self._add(unit, scene, Case(scene, maps), (name, metric_name, metric), info)
        unit.panels += _panels(self.data, self.batch, kept, self.panels)
        return unit

    def _explainers(self) -> Iterator[str]:
        yield NONE
        yield from self.plan.explainers[self.model]

    def _missing(self, explainer: str) -> dict[str, Metric]:
        return {
            name: metric
            for name, metric in self.plan.metrics[self.data].items()
            if ("maps" in metric.needs) == (explainer != NONE)
            and any(Cell(self.data, self.model, explainer, name, sample) not in self.done for sample in self.batch.ids)
        }

    def _maps(self, name: str, scene: Scene) -> Maps | None:
        if (self.model, name) in self.plan.refusals:
            return None
        explainer = self.plan.explainers[self.model][name]
        return explain(explainer, scene.model, scene.batch.images, scene.targets, scene.noise("explain"))

    def _add(
        self, unit: Unit, scene: Scene, case: Case, named: tuple[str, str, Metric], info: Mapping[str, Any]
    ) -> None:
        explainer, metric_name, metric = named
        refusal = self.plan.refusals.get((self.model, explainer)) or self.plan.refusals.get((self.model, metric_name))
        scores = _undefined(refusal, len(self.batch)) if refusal else self._scores(metric, case)
        per_set = metric.card.scope == "set"
        card, cell = info["metrics"][metric_name], (self.data, self.model, explainer, metric_name)
        provenance = (
            *(self.plan.seed, "fp32", str(scene.model.device), fingerprints(info, self.model, self.data)),
            info["explainers"].get(explainer, {}).get("spec", ""),
        )
        curve = None if refusal else metric.curve(case)
        targets = [-1] * len(self.batch) if refusal else scene.targets.tolist()
        errors = [math.nan] * len(self.batch) if scores.errors is None else scores.errors.tolist()
        for row, (sample, target, pair) in enumerate(zip(self.batch.ids, targets, scores.pairs(), strict=True)):
            value, reason = pair
            if Cell(*cell, sample) in self.done:  # a start with other batches has been here
                continue
            if reason or not per_set:
                outcome = (sample, target, value, reason, errors[row])
                unit.rows.append((*cell, card["version"], card["spec"], *outcome, *provenance))
            if curve is not None and not reason:
                points = zip(curve.fractions.tolist(), curve.values[row].tolist(), strict=True)
                unit.points.extend((*cell, sample, fraction, point) for fraction, point in points)

    @staticmethod
    def _scores(metric: Metric, case: Case) -> Scores:
        """Per image; for a metric of a set only whether each image has a record."""
        if metric.card.scope == "image":
            return score(metric, case)
        check_needs(metric, case)
        reasons = metric.undefined(case)
        return Scores(torch.full((len(reasons),), torch.nan, dtype=torch.float64), reasons)


def _undefined(reason: str, count: int) -> Scores:
    return Scores(torch.full((count,), torch.nan, dtype=torch.float64), (reason,) * count)


def _panels(data: str, batch: Batch, maps: Mapping[tuple[str, str], Tensor], count: int) -> list[Panel]:
    if not maps:
        return []
    pixels = (batch.images[:count].permute(0, 2, 3, 1) * 255).round().to(torch.uint8).cpu()
    return [
        Panel(
            data=data,
            sample=batch.ids[row],
            image=pixels[row].contiguous().numpy(),
            region=None if batch.regions is None else batch.regions[row].cpu().contiguous().numpy(),
            maps={key: values[row].contiguous().numpy() for key, values in maps.items()},
        )
        for row in range(count)
    ]


def _model_info(model: VisionModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "fingerprint": model.fingerprint,
        "device": str(model.device),
        "mean": list(model.mean),
        "std": list(model.std),
        "input_size": list(model.input_size),
        "parameters": sum(parameter.numel() for parameter in model.module.parameters()),
    }


def _data_info(data: Data) -> dict[str, Any]:
    return {"name": data.name, "fingerprint": data.fingerprint, "n": len(data), "classes": list(data.classes)}


def _explainer_info(explainer: AnyExplainer) -> dict[str, Any]:
    card = getattr(explainer, "card", None)
    if card is None:
        module = getattr(explainer, "__module__", "?")
        card = ExplainerCard(label(explainer), source=module, summary="a function", passes="?")
        return vars(card) | {"spec": f"python={module}:{card.name} {code_digest(explainer)}", "needs": []}
    facts = {"name": card.name, "kind": card.kind, "spec": describe(explainer), "version": card.version}
    return facts | {"source": card.source, "summary": card.summary, "passes": card.passes}


def _metric_info(metric: Metric, target: str) -> dict[str, Any]:
    card, (low, high) = metric.card, metric.bounds
    bounds = {"low": low if low > -torch.inf else None, "high": high if high < torch.inf else None}
    facts = {"name": card.name, "better": card.better, "scope": card.scope, "reduction": card.reduction}
    sources = {"source": card.source, "version": card.version, "summary": card.summary, "spec": metric.spec(target)}
    return facts | bounds | sources


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("xai-bench", "torch", "torchvision", "timm", "captum", "scikit-image", "numpy", "pandas", "scipy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


def _machine() -> dict[str, Any]:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    threads = torch.get_num_threads()
    return {"system": platform.system(), "processor": platform.machine(), "threads": threads, "gpu": gpu}


def named(entries: Sequence[tuple[str, Any]], kind: str) -> dict[str, Any]:
    """Label -> entry; two entries of one label are refused."""
    labels = [name for name, _ in entries]
    twice = sorted({name for name in labels if labels.count(name) > 1})
    if twice:
        raise InvalidValueError(f"two entries in {kind!r} are called {twice[0]!r}; give one of them another label")
    return dict(entries)
