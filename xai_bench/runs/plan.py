"""A plan: everything loaded and named, what cannot work together, and the tasks that are left."""

import platform
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol, runtime_checkable

import torch

from xai_bench.adapters import VisionModel
from xai_bench.behaviour import behaviour
from xai_bench.catalogue import describe, label
from xai_bench.data import Data
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.explainers import AnyExplainer, Explainer
from xai_bench.metrics import Metric
from xai_bench.runs.cells import Group
from xai_bench.runs.reading import SCHEMA
from xai_bench.types import ExplainerCard, TargetRule

NONE = "none"  # the explainer of metrics that need no map
KEPT = 1_000_000_000  # bytes of maps below which they are kept unless the suite says otherwise

Rows = tuple[int, ...]  # places in a batch
Wanted = Mapping[str, Mapping[str, Rows]]  # explainer -> metric -> the samples that have no row yet


@runtime_checkable
class There(Protocol):
    """Which cells are there already; `cells.Done` is one."""

    def get(self, group: Group) -> Collection[str] | None:
        """The samples of (data, model, explainer, metric) that are there."""


@dataclass(frozen=True)
class Task:
    """One model, one slice of one data set, and the cells that are missing there. Independent and idempotent."""

    data: str
    model: str
    start: int
    stop: int
    ids: tuple[str, ...]
    wanted: Wanted

    def __str__(self) -> str:
        return f"{self.model} on {self.data}, samples {self.ids[0]} to {self.ids[-1]}"

    @property
    def place(self) -> tuple[str, int, int]:
        """The slice, which the tasks of several models share."""
        return self.data, self.start, self.stop

    def only(self, cells: Iterable[tuple[str, str]]) -> "Task":
        """The same task with no more than these (explainer, metric)."""
        wanted: dict[str, dict[str, Rows]] = {}
        for explainer, metric in cells:
            wanted.setdefault(explainer, {})[metric] = self.wanted[explainer][metric]
        return replace(self, wanted=wanted)


@dataclass(frozen=True)
class Plan:
    """Models x explainers x metrics x data, everything loaded and named."""

    models: Mapping[str, VisionModel]
    data: Mapping[str, Data]
    explainers: Mapping[str, Mapping[str, AnyExplainer]]  # per model
    metrics: Mapping[str, Mapping[str, Metric]]  # per data set
    seed: int = 0
    target: TargetRule = "predicted"
    gallery: int = 24
    notes: Sequence[str] = ()
    precision: str = "fp32"
    compile: bool = False
    maps: str | bool = "auto"
    chunk: int = 0
    chunks: Mapping[str, int] = field(default_factory=dict)  # that an earlier start found for each model
    refusals: Mapping[tuple[str, str], str] = field(default_factory=dict)  # (model, explainer or metric) -> why

    def __post_init__(self) -> None:
        wanted = any("maps" in metric.needs for metrics in self.metrics.values() for metric in metrics.values())
        if wanted and not any(self.explainers.values()):
            raise InvalidValueError("the metrics need maps, but no explainer was given")

    def checked(self) -> "Plan":
        """The plan with what cannot work together; refused as a whole where something works with no model.

        Decodes one image of each data set and shows it to each model, so only for a plan that is to be carried out.
        """
        for data in self.data.values():
            _check_sizes(data, self.models.values(), self.target)
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
        refused = {(model, name): why for name, answers in asked.items() for model, why in answers.items() if why}
        return replace(self, refusals=refused)

    def tasks(self, done: There) -> list[Task]:
        """What is left to do, from names alone: no image is decoded and no model runs.

        The tasks of one slice stand side by side, so that its images are decoded once.
        """
        return [
            Task(data_name, model, start, stop, ids, wanted)
            for data_name, data in self.data.items()
            for start, stop in data.slices
            for ids in [data.ids(start, stop)]
            for model in self.models
            if (wanted := self._wanted(data_name, model, ids, done))
        ]

    def _wanted(self, data: str, model: str, ids: Sequence[str], done: There) -> dict[str, dict[str, Rows]]:
        wanted: dict[str, dict[str, Rows]] = {}
        for explainer, metric in self._pairs(data, model):
            there = done.get((data, model, explainer, metric))
            rows = tuple(row for row, sample in enumerate(ids) if sample not in there) if there else _all(len(ids))
            if rows:
                wanted.setdefault(explainer, {})[metric] = rows
        return wanted

    def _pairs(self, data: str, model: str) -> Iterator[tuple[str, str]]:
        for explainer in (NONE, *self.explainers[model]):
            for name, metric in self.metrics[data].items():
                if ("maps" in metric.needs) == (explainer != NONE):
                    yield explainer, name

    def _asked(self, data: str, model: str) -> dict[str, list[str]]:
        """Explainer -> metrics: what there must be in the end."""
        asked: dict[str, list[str]] = {}
        for explainer, metric in self._pairs(data, model):
            asked.setdefault(explainer, []).append(metric)
        return asked

    def of_maps(self, data: str) -> frozenset[str]:
        """The metrics that need maps."""
        return frozenset(name for name, metric in self.metrics[data].items() if "maps" in metric.needs)

    @property
    def keeps_maps(self) -> bool:
        """Whether every map is kept, so that a metric added later costs only itself."""
        return self.maps is True or (self.maps == "auto" and self._map_bytes() < KEPT)

    def _map_bytes(self) -> int:
        explainers = sum(len(entries) for entries in self.explainers.values())
        pixels = (len(data) * data.preprocessing.size[0] * data.preprocessing.size[1] for data in self.data.values())
        return 4 * explainers * sum(pixels)

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
            "precision": self.precision,
            "compile": self.compile,
            "chunk": dict(self.chunks),
            "notes": list(self.notes),
            "asked": {data: {model: self._asked(data, model) for model in self.models} for data in self.data},
            "models": {name: _model_info(model) for name, model in self.models.items()},
            "data": {name: _data_info(data) for name, data in self.data.items()},
            "explainers": {name: _explainer_info(entry) for name, entry in explainers.items()},
            "metrics": {name: _metric_info(entry, self.target) for name, entry in metrics.items()},
        }


@cache
def _all(count: int) -> Rows:
    """One tuple for all tasks."""
    return tuple(range(count))


def _check_sizes(data: Data, models: Iterable[VisionModel], target: str) -> None:
    """Refuse images of a size that a model cannot look at, and labels that it has no class for."""
    images = data.batch(0, 1).images
    for model in models:
        try:
            with model.ready(), torch.inference_mode():
                classes = model(images.to(model.device)).shape[1]
        except (AssertionError, RuntimeError) as error:
            size, made = " x ".join(map(str, images.shape[2:])), " x ".join(map(str, model.input_size))
            raise InvalidValueError(
                f"model {model.label!r}, made for {made}, cannot look at {data.label!r}'s images of {size}: {error}"
            ) from error
        if target == "label" and len(data.classes) > classes:
            raise InvalidValueError(
                f"target 'label' needs a class for each label, but data {data.label!r} have {len(data.classes)} "
                f"classes and model {model.label!r} has {classes}"
            )


def _model_info(model: VisionModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "fingerprint": model.fingerprint,
        "device": str(model.device),
        "mean": list(model.mean),
        "std": list(model.std),
        "input_size": list(model.input_size),
        "layer": _layer(model),
        "parameters": sum(parameter.numel() for parameter in model.module.parameters()),
    }


def _layer(model: VisionModel) -> str:
    """The layer that CAM methods read unless they are told another; "" where there is none."""
    try:
        return model.layer
    except Exception:  # noqa: BLE001 - a model that cannot be probed is refused elsewhere, if it must be
        return ""


def _data_info(data: Data) -> dict[str, Any]:
    return {"name": data.name, "fingerprint": data.fingerprint, "n": len(data), "classes": list(data.classes)}


def _explainer_info(explainer: AnyExplainer) -> dict[str, Any]:
    card = getattr(explainer, "card", None)
    if card is None:
        module = getattr(explainer, "__module__", "?")
        card = ExplainerCard(label(explainer), source=module, summary="a function", passes="?")
        return vars(card) | {"spec": f"python={module}:{card.name} {behaviour(explainer)}", "needs": []}
    kind = explainer.kind if isinstance(explainer, Explainer) else card.kind
    facts = {"name": card.name, "kind": kind, "spec": describe(explainer), "version": card.version}
    return facts | {"source": card.source, "summary": card.summary, "passes": card.passes}


def _metric_info(metric: Metric, target: str) -> dict[str, Any]:
    card, (low, high) = metric.card, metric.bounds
    bounds = {"low": low if low > -torch.inf else None, "high": high if high < torch.inf else None}
    facts = {"name": card.name, "better": card.better, "scope": card.scope, "reduction": card.reduction}
    sources = {"source": card.source, "version": card.version, "summary": card.summary, "spec": metric.spec(target)}
    return facts | bounds | sources | {"family": card.family, "degree": metric.degree}


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
