"""What `import xai_bench as xb` offers for work with models: explain, score, evaluate."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from xai_bench import border
from xai_bench.adapters import Preprocessing, VisionModel, load_model
from xai_bench.catalogue import imported, label
from xai_bench.data import CATALOGUE as DATA
from xai_bench.data import Data, load_data
from xai_bench.data.image import to_images
from xai_bench.engine import Case, Scene
from xai_bench.engine.precision import fp32
from xai_bench.errors import DataError, IncompleteError, InvalidValueError, UnsupportedError
from xai_bench.explainers import EXPLAINERS, AnyExplainer, Explainer, lacks
from xai_bench.explainers import explain as run_explainer
from xai_bench.explainers.given import check_call, check_explainer
from xai_bench.keys import key
from xai_bench.metrics import METRICS, Metric
from xai_bench.metrics import score as run_metric
from xai_bench.metrics.function import FunctionMetric
from xai_bench.relevance import RelevanceMaps, showing
from xai_bench.removal import REMOVALS
from xai_bench.results import Results
from xai_bench.runs import reading
from xai_bench.runs.cells import Done
from xai_bench.runs.execute import Failure, check, execute
from xai_bench.runs.files import is_url, place
from xai_bench.runs.means import Means
from xai_bench.runs.plan import Plan, named
from xai_bench.runs.store import Folder, Memory, cleared
from xai_bench.runs.suite import Suite
from xai_bench.runs.work import Explained, explained
from xai_bench.types import Batch, Scores, TargetRule

ModelLike = str | Mapping[str, Any] | nn.Module | VisionModel
ExplainerLike = str | Mapping[str, Any] | AnyExplainer
MetricLike = str | Mapping[str, Any] | Metric | Callable[[Case], Tensor]
DataLike = str | Mapping[str, Any] | Data


def explain(
    explainer: ExplainerLike,
    model: VisionModel,
    images: Any,
    targets: Any = None,
    *,
    regions: Any = None,
    ids: Sequence[str] | None = None,
    seed: int = 0,
) -> RelevanceMaps:
    """Relevance maps (B, H, W) float32, higher = more evidence for the target, signed, not normalised.

    A tensor that shows itself in a notebook, with `.describe()` in words and `.plot(ax=)`.

    `images` are RGB in [0, 1] before normalisation: torch (B, 3, H, W), numpy (B, H, W, 3) or PIL. `targets` are
    classes, (B,) or one for all; None means the predicted class. `regions` (B, H, W) bool are the objects, which only
    the control `region` is told of. `ids` default to a hash of each image.
    """
    method = _explainer(explainer)
    scene = _scene(model, images, targets, ids, seed, regions=regions)
    _check_regions(method, there=regions is not None)
    if (unmapped := lacks(method, scene.batch)) and all(unmapped):
        raise DataError(
            f"explainer {label(method)!r} has no map of any image here: {unmapped[0]} (of {scene.batch.ids[0]!r})"
        )
    with fp32():
        noise = scene.noise("explain")
        maps = run_explainer(method, scene.model, scene.batch.images, scene.targets, noise, scene.batch.regions)
    names = {"explainer": label(method), "model": model.label}
    return showing(maps, scene.batch.images, scene.targets, regions=scene.batch.regions, **names)


def score(
    metric: MetricLike,
    model: VisionModel,
    images: Any,
    targets: Any = None,
    maps: Any = None,
    *,
    explainer: ExplainerLike | None = None,
    labels: Any = None,
    regions: Any = None,
    ids: Sequence[str] | None = None,
    seed: int = 0,
) -> Scores:
    """A metric's number per image, `.values` (B,) float64 and `.reasons` where it is undefined (nan).

    Either `maps` (B, H, W) are given, or an `explainer` that makes them; a metric that explains altered images needs
    the explainer, beside maps or without. `regions` (B, H, W) bool are the objects.
    A metric of a whole set gives one number.
    """
    measure = _metric(metric)
    if maps is not None and explainer is not None and "explainer" not in measure.needs:
        raise InvalidValueError("give maps or an explainer, not both")
    pictures = to_images(images).clone()  # a metric that writes into what it is given changes nobody else's images
    scene = _scene(model, pictures, targets, ids, seed, labels=labels, regions=regions)
    if why := measure.unfit(scene.model):
        raise UnsupportedError(why)
    with fp32():
        found = None if explainer is None else Explained(_explainer(explainer))
        unmapped: tuple[str, ...] = ()
        if found is not None:
            _check_regions(found.explainer, there=regions is not None)
            unmapped = lacks(found.explainer, scene.batch)
        explain = None if found is None else partial(explained, found.explainer, scene)
        if maps is None and explain is not None:
            maps = explain()
        if maps is None and "maps" in measure.needs:
            raise InvalidValueError(f"metric {label(measure)!r} scores maps: give maps= or explainer=")
        relevance = None if maps is None else border.maps(maps, scene.batch)
        return run_metric(measure, Case(scene, relevance, explain, found, unmapped))


def evaluate(
    models: ModelLike | Sequence[ModelLike],
    explainers: ExplainerLike | Sequence[ExplainerLike] = (),
    metrics: MetricLike | Sequence[MetricLike] = ("deletion", "insertion"),
    data: DataLike | Sequence[DataLike] = "planted",
    out: str | Path | None = None,
    *,
    seed: int = 0,
    target: TargetRule = "predicted",
    device: str = "auto",
    gallery: int = 24,
    notes: Sequence[str] = (),
    precision: str = "fp32",
    compile: bool = False,  # noqa: A002 - the word torch users know
    maps: str | bool = "auto",
    chunk: int = 0,
    executor: str = "local",
    workers: int | None = None,
    address: str | None = None,
    loaders: int | None = None,
    progress: bool | None = None,
) -> Results:
    """Score every explainer of every model by every metric on every image.

    Entries are names, tables as in a suite (`{"name": "ig", "steps": 64}`) or objects; any callable with an
    explainer's signature (model, images, targets) -> maps, or a metric's, case -> (B,) numbers, will do.
    With `out` the run is kept in this folder, and a second call computes only what is missing there.

    `precision` ("fp32" or "bf16") and `compile` are those of the forward passes on altered images, `chunk` at a time
    (0: found); `maps` says whether every map is kept ("auto": below 1 GB). Which `executor` does the work, in this
    process ("local"), in `workers` processes of this machine ("processes") or on the Ray cluster at `address` ("ray"),
    and how many `loaders` decode images cannot change a number.
    Raises IncompleteError, which holds the results, where some units failed at every try.
    """
    suite = Suite(
        models=tuple(_listed(models)),
        data=tuple(_listed(data)),
        metrics=tuple(_listed(metrics)),
        explainers=tuple(_listed(explainers)),
        seed=seed,
        target=target,
        device=device,
        gallery=gallery,
        notes=tuple(notes),
        precision=precision,
        compile=compile,
        maps=maps,
        chunk=chunk,
    )
    means = Means(executor=executor, workers=workers, address=address, loaders=loaders, progress=progress)
    return run_suite(suite, out, means)


def run_suite(suite: Suite, out: str | Path | None = None, means: Means | None = None) -> Results:
    """Carry a suite out. What the run folder holds already is neither computed nor checked again."""
    means = means or Means()
    plan = _plan(suite)
    folder = out if out is None or is_url(out) else Path(out)
    if means.fresh and folder is not None:
        plan = plan.checked()  # the run that is there goes only for one that can be carried out
        cleared(place(folder))
    done, plan = _begun(plan, folder)
    tasks = plan.tasks(done)
    if tasks:  # refused before anything is written
        check(means)
        plan = plan.checked()
    # the tasks are made again under the lock: another process may have finished some since they were first looked at
    with Memory(plan.info()) if folder is None else Folder(folder, plan.info(), suite.toml()) as sink:
        failures = execute(plan, sink, plan.tasks(sink.done()), means) if tasks else []
        results = Results(sink.run(), folder)
    if failures:
        raise _incomplete(results, failures, len(tasks))
    return results


def _begun(plan: Plan, folder: str | Path | None) -> tuple[Done, Plan]:
    """What an earlier start did, and the plan with the chunks that it found; reads only."""
    if folder is None or not (where := place(folder)).exists("run.json"):
        return Done(), plan
    info = reading.read_info(where)
    return reading.done(where, info), replace(plan, chunks=info.get("chunk", {}))


def _incomplete(results: Results, failures: Sequence[Failure], count: int) -> IncompleteError:
    sentences = [str(failure) for failure in failures]
    kept = "the rest is kept, and a second start tries only these again"
    units = {(failure.task.model, failure.task.place) for failure in failures}
    return IncompleteError(
        f"{len(units)} of {count} units failed at every try ({kept}), the first of them {sentences[0]}",
        results=results,
        failures=sentences,
    )


def _plan(suite: Suite) -> Plan:
    # names are checked before any model is loaded: a typo should not cost a download
    common = [_labelled(entry) for entry in suite.explainers]
    own = [[_labelled(entry) for entry in _own(model, "explainers")] for model in suite.models]
    shared = [_metric(entry) for entry in suite.metrics]
    measures = [[_metric(entry) for entry in _own(data, "metrics")] or shared for data in suite.data]
    models = [_model(entry, suite.device, suite.seed) for entry in suite.models]
    data = [_data(entry, suite.seed, models) for entry in suite.data]
    for found, metrics in zip(data, measures, strict=True):
        _check_data(found, metrics, suite.target)
    for _, explainer in chain(common, *own):
        _check_regions(explainer, there=any("regions" in found.knows for found in data))
    return Plan(
        models=named([(model.label, model) for model in models], "models"),
        data=named([(found.label, found) for found in data], "data"),
        explainers={
            model.label: named([*common, *extra], "explainers") for model, extra in zip(models, own, strict=True)
        },
        metrics={
            found.label: named([(_metric_label(entry), entry) for entry in metrics], "metrics")
            for found, metrics in zip(data, measures, strict=True)
        },
        seed=suite.seed,
        target=suite.target,  # type: ignore[arg-type]
        gallery=suite.gallery,
        notes=suite.notes,
        precision=suite.precision,
        compile=suite.compile,
        maps=suite.maps,
        chunk=suite.chunk,
    )


def _own(entry: object, key: str) -> Sequence[Any]:
    """What a model's or data set's own table adds."""
    return _listed(entry[key]) if isinstance(entry, Mapping) and key in entry else []


def _check_data(data: Data, metrics: Iterable[Metric], target: str) -> None:
    """Refuse before any work what the data cannot give."""
    for metric in metrics:
        for need in sorted(metric.needs & {"regions", "labels"} - data.knows):
            raise InvalidValueError(f"metric {label(metric)!r} needs {need}, but data {data.label!r} have none")
        if getattr(metric, "at", "") == "original" and data.preprocessing.mode == "crop":
            raise InvalidValueError(
                f"metric {label(metric)!r} looks at whole original images, but data {data.label!r} are cropped; "
                "give the data a size"
            )
    if target == "label" and "labels" not in data.knows:
        raise InvalidValueError(f"target 'label' needs labels, but data {data.label!r} have none")


def _check_regions(explainer: AnyExplainer, *, there: bool) -> None:
    """Refuse an explainer that is told of the objects where no data know them."""
    inner: object = explainer
    while isinstance(inner, Explainer):  # or one inside a wrapper
        if not there and "regions" in inner.card.needs:
            raise InvalidValueError(f"explainer {label(explainer)!r} needs regions, but the data have none")
        inner = getattr(inner, "explainer", None)


def _metric_label(metric: Metric) -> str:
    return metric.card.name if isinstance(metric, FunctionMetric) else label(metric)


def _listed(value: Any) -> Sequence[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _model(entry: ModelLike, device: str, seed: int) -> VisionModel:
    if isinstance(entry, VisionModel):
        return entry
    table = dict(entry) if isinstance(entry, Mapping) else {"name": entry}
    table.pop("explainers", None)
    with torch.random.fork_rng(devices=[]):  # random weights are the same at every start, or no run could go on
        torch.manual_seed(key(seed, "weights", str(table["name"])))
        return load_model(**{"device": device, **table})


def _data(entry: DataLike, seed: int, models: Sequence[VisionModel]) -> Data:
    if isinstance(entry, Data):
        return entry
    table = dict(entry) if isinstance(entry, Mapping) else {"name": entry}
    table.pop("metrics", None)
    return load_data(**{"seed": seed, **_shape(table, models), **table})


def _shape(table: Mapping[str, Any], models: Sequence[VisionModel]) -> dict[str, Preprocessing]:
    """Pictures of any size become what the models expect, where the suite does not say otherwise."""
    if DATA[str(table["name"])].generated or {"size", "preprocessing"} & table.keys():
        return {}
    wanted = {model.preprocessing for model in models}
    if len(wanted) > 1:
        shapes = ", ".join(sorted(f"{model.label}: {_words(model.preprocessing)}" for model in models))
        raise InvalidValueError(f"the models want images in different ways ({shapes}); give the data a size")
    return {"preprocessing": wanted.pop()}


def _words(shape: Preprocessing) -> str:
    return f"{shape.size[0]} x {shape.size[1]} {shape.mode} {shape.crop_pct:g} {shape.interpolation}"


def _labelled(entry: ExplainerLike) -> tuple[str, AnyExplainer]:
    """An explainer and what tables call it: the `label` of its table, else the shortest name that tells it apart."""
    explainer = _explainer(entry)
    given = entry.get("label") if isinstance(entry, Mapping) else None
    if given is not None and (not isinstance(given, str) or not given):
        raise InvalidValueError(f"label of an explainer must be a text, got {given!r}")
    return given or label(explainer), explainer


def _explainer(entry: ExplainerLike) -> AnyExplainer:
    found = _python(entry)
    if isinstance(found, Mapping) and found.get("name") != "maps":  # whose label is a field
        found = {key: value for key, value in found.items() if key != "label"}
    if isinstance(found, type) and issubclass(found, Explainer):
        return found()
    if isinstance(found, str | Mapping):
        return EXPLAINERS.build(found)
    if _is_function(found):
        check_explainer(found)
        return cast("AnyExplainer", found)
    raise InvalidValueError(f"an explainer is a name, a table, or a callable, got {entry!r}")


def _metric(entry: MetricLike) -> Metric:
    found = _python(entry)
    if isinstance(found, str | Mapping | Metric):
        return METRICS.build(found)
    if _is_function(found):
        check_call(found, 1, "a metric takes (case)")
        return FunctionMetric(cast("Callable[[Case], Tensor]", found))
    raise InvalidValueError(f"a metric is a name, a table, or a callable, got {entry!r}")


def _is_function(found: object) -> bool:
    return callable(found) and not isinstance(found, type)


def _python(entry: Any) -> Any:
    """`python:package.module:function` is what it names."""
    return imported(entry.removeprefix("python:")) if isinstance(entry, str) and entry.startswith("python:") else entry


def _scene(
    model: VisionModel,
    images: Any,
    targets: Any,
    ids: Sequence[str] | None,
    seed: int,
    *,
    labels: Any = None,
    regions: Any = None,
) -> Scene:
    if not isinstance(model, VisionModel):
        raise InvalidValueError(f"model must come from load_model, got {type(model).__name__}")
    pixels = to_images(images)
    batch = Batch(
        images=pixels,
        ids=tuple(ids) if ids is not None else border.hashes(pixels),
        labels=None if labels is None else border.classes(labels, len(pixels), "labels"),
        regions=None if regions is None else border.regions(regions, pixels),
    )
    given = None if targets is None else border.classes(targets, len(pixels), "targets")
    return Scene(model, batch, targets=given, seed=seed)


__all__ = [
    "EXPLAINERS",
    "METRICS",
    "REMOVALS",
    "evaluate",
    "explain",
    "load_data",
    "load_model",
    "run_suite",
    "score",
]
