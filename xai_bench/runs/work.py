"""One unit of work: a batch and a model in, maps, scores and curves out. Writes nothing and keeps nothing."""

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from textwrap import shorten
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from xai_bench.engine import Case, Curve, Engine, Scene, evaluate
from xai_bench.engine.memory import attempt
from xai_bench.engine.precision import fp32
from xai_bench.errors import XaiBenchError
from xai_bench.explainers import AnyExplainer, Explainer, explain, lacks, read_from, seen_together
from xai_bench.metrics import Metric
from xai_bench.metrics.metric import check_needs, score
from xai_bench.runs.clock import Cost, clocked
from xai_bench.runs.plan import NONE, Plan, Task
from xai_bench.seeding import Noise
from xai_bench.types import Batch, Images, Maps, Scores

Part = TypeVar("Part")
WORDS = 300  # characters of an error that are told
Cells = dict[tuple[str, str], str]  # (explainer, metric) -> why it failed


class Job(NamedTuple):
    """A task with what it works on."""

    task: Task
    batch: Batch
    maps: Mapping[str, Tensor]  # explainer -> maps (B, H, W) kept by an earlier start
    chunk: int = 0  # altered images per forward pass; 0: to be found


class Scored(NamedTuple):
    """What one metric says of one explainer's maps."""

    explainer: str
    metric: str
    scores: Scores
    curve: Curve | None
    refused: bool  # the two cannot work together; the scores say why


@dataclass
class Done:
    """What came of a job; tensors are on the CPU."""

    task: Task
    scored: list[Scored] = field(default_factory=list)
    maps: dict[str, Maps] = field(default_factory=dict)  # explainer -> (B, H, W): the wanted explainers' that have any
    made: frozenset[str] = frozenset()  # explainers whose maps were made here, not handed in
    costs: dict[str, Cost] = field(default_factory=dict)  # explainer -> what making them took
    failed: Cells = field(default_factory=dict)
    wrong: dict[tuple[str, str], XaiBenchError] = field(default_factory=dict)  # cells that no second try would mend
    targets: tuple[int, ...] = ()
    device: str = ""
    precision: str = ""
    chunk: int = 0


class Worker:
    """One process's share of a plan: each model with its engine, made once."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self._engines = plan, dict[str, Engine]()

    def do(self, job: Job) -> Done:
        """Carry a job out. A part that raises is put down as failed, or as wrong where it would raise again."""
        try:
            with fp32():
                return _Unit(self.plan, job, self._engine(job)).done()
        except XaiBenchError as error:
            return Done(job.task, wrong=dict.fromkeys(_cells(job.task), error))
        except Exception as error:  # noqa: BLE001 - whatever a model or a plug-in raises; told to the user at the end
            return Done(job.task, failed=dict.fromkeys(_cells(job.task), _reason(error)))

    def _engine(self, job: Job) -> Engine:
        name, (height, width) = job.task.model, job.batch.images.shape[2:]
        if name not in self._engines:
            options: dict[str, Any] = {"precision": self.plan.precision, "compile": self.plan.compile, "fold": True}
            chunk = self.plan.chunk or job.chunk
            self._engines[name] = engine = Engine(self.plan.models[name], **options, chunk=chunk or None)
            if not chunk:
                engine.fit((height, width))
        return self._engines[name]


class _Unit:
    """One job, step by step: explain, look at all altered images, score."""

    def __init__(self, plan: Plan, job: Job, engine: Engine) -> None:
        self.plan, self.task, self.given, self.engine = plan, job.task, job.maps, engine
        model = plan.models[job.task.model]
        batch = job.batch.to(model.device, non_blocking=True)
        targets = batch.labels if plan.target == "label" else None
        self.scene = Scene(model, batch, targets=targets, seed=plan.seed, engine=engine)
        self.failed: Cells = {}
        self.wrong: dict[tuple[str, str], XaiBenchError] = {}
        self.costs: dict[str, Cost] = {}

    def done(self) -> Done:
        cases = {name: self._case(name, maps) for name, maps in self._maps().items()}
        wanted = [pair for pair in _cells(self.task) if pair not in self.failed and pair not in self.wrong]
        self._look(cases, [pair for pair in wanted if not self._refusal(*pair)])
        scored = [found for pair in wanted if (found := self._scored(*pair, cases))]
        return Done(
            task=self.task,
            scored=scored,
            maps={
                name: case.maps.cpu() for name, case in cases.items() if name != NONE and not self._unexplained(name)
            },
            made=frozenset(cases.keys() - {NONE} - self.given.keys()),
            costs=self.costs,
            failed=self.failed,
            wrong=self.wrong,
            targets=tuple(self.scene.targets.tolist()) if any(not found.refused for found in scored) else (),
            device=str(self.scene.model.device),
            precision=self.engine.precision,
            chunk=self.engine.chunk,
        )

    def _refusal(self, explainer: str, metric: str) -> str:
        refusals, model = self.plan.refusals, self.task.model
        known = refusals.get((model, explainer)) or refusals.get((model, metric))
        return known or self._asks_anew(explainer, metric)

    def _asks_anew(self, explainer: str, metric: str) -> str:
        """Why a metric cannot ask this explainer for more maps, "" where it can or need not."""
        entry = self.plan.explainers[self.task.model].get(explainer)
        if "explainer" not in self._metric(metric).needs or getattr(entry, "anew", True):
            return ""
        return f"metric {metric!r} explains altered images or other samples, of which {explainer!r} has no maps"

    def _unexplained(self, explainer: str) -> bool:
        return (self.task.model, explainer) in self.plan.refusals

    def _maps(self) -> dict[str, Maps | None]:
        """Maps of each wanted explainer that can work: kept ones where there are, else made now."""
        found: dict[str, Maps | None] = {}
        shared = self._shared()
        for name, metrics in self.task.wanted.items():
            if name == NONE:
                found[name] = None
            elif name in self.given:
                found[name] = self.given[name].to(self.scene.model.device)
            elif name in shared:
                found[name] = shared[name]
            elif not self._unexplained(name):
                try:
                    found[name] = self._made(name)
                except XaiBenchError as error:
                    self.wrong |= {(name, metric): error for metric in metrics}
                except Exception as error:  # noqa: BLE001 - the other explainers go on
                    self.failed |= {(name, metric): _reason(error) for metric in metrics}
        return found

    def _shared(self) -> dict[str, Maps]:
        """Maps of the explainers that read one pass, where there are several.

        The pass is on the bill of each, as it would be of one alone. Where it fails each tries alone, and says why.
        """
        entries = self.plan.explainers[self.task.model]
        wanted = [name for name in self.task.wanted if name in entries and name not in self.given]
        open_ = [(name, entries[name]) for name in wanted if not self._unexplained(name)]
        sharers = {name: one for name, one in open_ if isinstance(one, Explainer) and one.sights(self.scene.model)}
        if len(sharers) < 2:
            return {}
        try:
            found = explained_together(sharers, self.scene)
        except Exception:  # noqa: BLE001 - the one to blame fails again by itself
            return {}
        self.costs |= {name: cost for name, (_, cost) in found.items()}
        return {name: maps for name, (maps, _) in found.items()}

    def _made(self, name: str) -> Maps:
        """An explainer's maps, made now; what is the same for all explainers is not on its bill."""
        scene = self.scene
        scene.targets  # noqa: B018
        with clocked(scene.model, len(scene.batch)) as cost:
            maps = explained(self.plan.explainers[self.task.model][name], scene)
        self.costs[name] = cost
        return maps

    def _case(self, name: str, maps: Maps | None) -> Case:
        if name == NONE:
            return Case(self.scene)
        explainer = self.plan.explainers[self.task.model][name]
        again = partial(explained, explainer, self.scene)
        return Case(self.scene, maps, again, Explained(explainer), lacks(explainer, self.scene.batch))

    def _look(self, cases: Mapping[str, Case], wanted: list[tuple[str, str]]) -> None:
        """Every altered image that any metric will ask for, packed into full chunks across explainers."""
        pairs = [
            (cases[explainer], question) for explainer, metric in wanted for question in self._metric(metric).questions
        ]
        if pairs:
            evaluate(pairs)

    def _metric(self, name: str) -> Metric:
        return self.plan.metrics[self.task.data][name]

    def _scored(self, explainer: str, metric_name: str, cases: Mapping[str, Case]) -> Scored | None:
        count = len(self.scene.batch)
        if refusal := self._refusal(explainer, metric_name):
            return Scored(explainer, metric_name, _undefined((refusal,) * count), None, refused=True)
        metric, case = self._metric(metric_name), cases[explainer]
        try:
            return Scored(explainer, metric_name, _scores(metric, case), metric.curve(case), refused=False)
        except XaiBenchError as error:
            self.wrong[explainer, metric_name] = error
            return None
        except Exception as error:  # noqa: BLE001 - the other metrics go on
            self.failed[explainer, metric_name] = _reason(error)
            return None


def explained(explainer: AnyExplainer, scene: Scene, images: Images | None = None) -> Maps:
    """An explainer's maps of a scene, or of other images in the place of its own; half as many once memory runs out."""
    images, targets, noise = scene.batch.images if images is None else images, scene.targets, scene.noise("explain")
    regions = scene.batch.regions

    def of(rows: slice) -> Maps:
        part = Noise(noise.seed, noise.purpose, noise.ids[rows])
        told = None if regions is None else regions[rows]
        return explain(explainer, scene.model, images[rows], targets[rows], part, told)

    return torch.cat(list(_halving(of, 0, len(images))))


def explained_together(explainers: Mapping[str, Explainer], scene: Scene) -> dict[str, tuple[Maps, Cost]]:
    """The maps of explainers that share a pass, with what each would have cost alone."""
    model, images, targets = scene.model, scene.batch.images, scene.targets

    def of(rows: slice) -> dict[str, tuple[Maps, Cost]]:
        found = {}
        with clocked(model, len(images[rows])) as common:
            seen = seen_together(explainers.values(), model, images[rows], targets[rows])
        for name, explainer in explainers.items():
            with clocked(model, 0) as own:
                maps = read_from(explainer, seen)
            own.add(common)
            found[name] = maps, own
        return found

    parts = list(_halving(of, 0, len(images)))
    return {
        name: (torch.cat([part[name][0] for part in parts]), _total(part[name][1] for part in parts))
        for name in explainers
    }


def _total(costs: Iterable[Cost]) -> Cost:
    total = Cost()
    for cost in costs:
        total.add(cost)
    return total


def _halving(work: Callable[[slice], Part], start: int, stop: int) -> Iterator[Part]:
    """What the work makes of the images from start to stop: of all at once, or of halves once memory runs out."""
    middle, run = (start + stop) // 2, partial(work, slice(start, stop))
    # one image cannot be halved: its error is the caller's
    if (found := run() if middle == start else attempt(run)) is not None:
        yield found
    else:
        yield from _halving(work, start, middle)
        yield from _halving(work, middle, stop)


@dataclass(frozen=True)
class Explained:
    """An explainer's maps of any scene; equal where the explainers are."""

    explainer: AnyExplainer

    def __call__(self, scene: Scene) -> Maps:
        return explained(self.explainer, scene)


def _cells(task: Task) -> list[tuple[str, str]]:
    return [(explainer, metric) for explainer, metrics in task.wanted.items() for metric in metrics]


def _scores(metric: Metric, case: Case) -> Scores:
    """Per image; for a metric of a set only whether each image has a record."""
    if metric.card.scope == "image":
        return score(metric, case)
    check_needs(metric, case)
    return _undefined(metric.undefined(case))


def _undefined(reasons: tuple[str, ...]) -> Scores:
    return Scores(torch.full((len(reasons),), torch.nan, dtype=torch.float64), reasons)


def _reason(error: BaseException) -> str:
    """What went wrong, and on which line of whose file."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    text = shorten(str(error), WORDS, placeholder=" ...")
    return f"{type(error).__name__}: {text}{where}" if text else f"{type(error).__name__}{where}"
