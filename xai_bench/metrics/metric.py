"""What every metric is, and how one is scored: needs checked, undefined said, values bounded by the card."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar

import torch
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.catalogue import check_values, text
from xai_bench.engine import Case, Curve, Pixel, Question, Unit
from xai_bench.errors import UnsupportedError
from xai_bench.metrics.reasons import combined, unless
from xai_bench.reductions import reduced
from xai_bench.removal import Removal
from xai_bench.types import OUTPUTS, MetricCard, Output, Scores, TargetRule

PIXEL = Pixel()


class Metric(ABC):
    """Scores maps. A frozen dataclass whose fields are its parameters; `__call__` is little more than the formula."""

    card: ClassVar[MetricCard]
    protocols: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    facts: ClassVar[Mapping[str, str]] = {}  # what the formula fixes and libraries silently differ in

    def __post_init__(self) -> None:
        check_values(self)

    @abstractmethod
    def __call__(self, case: Case) -> Tensor:
        """One number per sample, (B,); whatever it says of samples that `undefined` names is dropped."""

    @property
    def needs(self) -> frozenset[str]:
        """Any of maps, ranking, regions, labels, explainer."""
        return self.card.needs

    @property
    def fixed(self) -> Mapping[str, str]:
        """What the formula fixes with these parameters; one that resamples nothing averages over units all the same."""
        averaged = self.facts.get("resampling") == "none" and _unit(self) != PIXEL
        return {**self.facts, "resampling": "unit mean"} if averaged else self.facts

    @property
    def questions(self) -> tuple[Question, ...]:
        """The altered images it will ask for, so that those of many metrics can be looked at together."""
        return ()

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and highest value possible with these parameters."""
        return self.card.low, self.card.high

    @property
    def reads(self) -> Output | None:
        """The output of which the score is a function, so that it can be related to that of the clean image."""
        output = getattr(self, "output", None)
        return output if self.degree is not None and output in OUTPUTS else None

    @property
    def degree(self) -> int | None:
        """The power of the output in the score with these parameters; None where it is no function of its scale."""
        return None if getattr(self, "output", None) == "hit" else self.card.degree

    def undefined(self, case: Case) -> tuple[str, ...]:
        """Why each sample has no score, "" where it has one."""
        reasons = [case.scene.faults()]
        if "maps" in self.needs:
            reasons.append(case.unmapped)
        if "ranking" in self.needs:
            reasons += [case.unrankable, case.indifferent(_unit(self))]
        if "regions" in self.needs:
            reasons.append(_regionless(case))
        if "labels" in self.needs:
            reasons.append(_classless(case))
        return combined(*reasons)

    def curve(self, case: Case) -> Curve | None:  # noqa: ARG002
        """The per-image curve or record that is stored beside the score, where there is one."""
        return None

    def errors(self, case: Case) -> Tensor | None:  # noqa: ARG002
        """An estimate of the numerical error of each score, (B,) float64; None where scores are exact."""
        return None

    def unfit(self, model: VisionModel) -> str:
        """Why this metric cannot score this model at all, "" where it can."""
        removal = getattr(self, "removal", None)
        return removal.unfit(model) if isinstance(removal, Removal) else ""

    def spec(self, target: TargetRule | str = "predicted") -> str:
        """The canonical string of everything that changes what is measured."""
        parameters = {item.name: text(getattr(self, item.name)) for item in fields(self)}  # type: ignore[arg-type]
        facts = parameters | dict(self.fixed) | {"target": target}
        return "; ".join(f"{key}={value}" for key, value in facts.items())


class CurveMetric(Metric):
    """A metric that is a summary of a per-image curve."""

    @abstractmethod
    def curve(self, case: Case) -> Curve: ...


def _unit(metric: Metric) -> Unit:
    """What a metric ranks; pixels where it has no such parameter."""
    unit = getattr(metric, "unit", PIXEL)
    return unit if isinstance(unit, Unit) else PIXEL


def _regionless(case: Case) -> tuple[str, ...]:
    regions = case.batch.regions
    if regions is None:
        return ("no region",) * len(case.batch)
    share = regions.flatten(1).float().mean(1).tolist()
    return tuple("no region" if part == 0 else "region covers the whole image" if part == 1 else "" for part in share)


def _classless(case: Case) -> tuple[str, ...]:
    labels = case.batch.labels
    if labels is None:
        return ("no label",) * len(case.batch)
    return unless((labels >= 0) & (labels < case.scene.clean.shape[1]), "label is no class of the model")


def score(metric: Metric, case: Case) -> Scores:
    """A metric's number per sample, nan with a reason where it is undefined; one number for a metric of a set."""
    check_needs(metric, case)
    reasons = metric.undefined(case)
    defined = torch.tensor([not reason for reason in reasons])
    if metric.card.scope == "set":
        return set_score(metric, metric.curve(case), defined)
    values = metric(case).double().cpu()
    lost = defined & ~values.isfinite()
    reasons = tuple("score is not finite" if gone else reason for gone, reason in zip(lost, reasons, strict=True))
    known, errors = defined & ~lost, metric.errors(case)
    return Scores(
        values.where(known, math.nan),
        reasons,
        None if errors is None else errors.where(known, math.nan),
        None if metric.reads is None else case.scene.output(metric.reads),
    )


def set_score(metric: Metric, records: Curve | None, defined: Tensor) -> Scores:
    """The number of a whole set from its per-image records."""
    assert records is not None, "a metric of a set gives its records as a curve"
    if not defined.any():
        return Scores(torch.tensor([math.nan], dtype=torch.float64), ("no image is defined",))
    value, reason = reduced(metric.card.reduction, records.values[defined].numpy())
    return Scores(torch.tensor([value], dtype=torch.float64), (reason,))


def check_needs(metric: Metric, case: Case) -> None:
    """Refuse a metric whose needs the data as a whole cannot meet."""
    for need, there in (("regions", case.batch.regions), ("labels", case.batch.labels)):
        if need in metric.needs and there is None:
            raise UnsupportedError(f"metric {metric.card.name!r} needs {need}, but the data have none")
    if "explainer" in metric.needs and not case.explains:
        raise UnsupportedError(f"metric {metric.card.name!r} needs the explainer itself, but only its maps were given")
