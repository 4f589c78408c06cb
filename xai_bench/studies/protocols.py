"""Which conclusions about explanations survive the choice of protocol, and which are made by it?

The same maps are scored under every library's protocol, and under pairs that differ in a single choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from xai_bench.adapters import VisionModel
from xai_bench.api import run_suite
from xai_bench.catalogue import label
from xai_bench.explainers import EXPLAINERS
from xai_bench.explainers.gradient import IntegratedGradients
from xai_bench.metrics import METRICS
from xai_bench.reports.protocols import Factor, study, write_protocols
from xai_bench.results import Results
from xai_bench.runs.means import Means
from xai_bench.runs.suite import Suite
from xai_bench.training import demo_models
from xai_bench.types import ExplainerCard, Images, Maps, Targets

Table = Mapping[str, Any]
BASE: Table = {"name": "deletion", "removal": "fill"}  # probability, mean colour, 28 steps, trapezoid
BLACK: Table = {"name": "fill", "colour": "black"}
CHOICES: tuple[tuple[str, Table, Table], ...] = (  # (question, what the one differs from BASE in, and the other)
    ("softmax or logit", {}, {"output": "logit"}),
    ("mean colour or black (0 after or before normalisation)", {}, {"removal": BLACK}),
    ("black or the image's lowest value", {"removal": BLACK}, {"removal": {"name": "fill", "colour": "image_min"}}),
    ("mean colour or blur", {}, {"removal": "blur"}),
    ("mean colour or noisy linear imputation", {}, {"removal": "noisy_linear"}),
    ("28 steps or 10", {}, {"steps": 10}),
    ("28 steps or 112", {}, {"steps": 112}),
    ("trapezoid with both ends, or mean of the points without the clean one", {}, {"area": "mean", "ends": "no_clean"}),
    ("ties at random or from the first pixel", {}, {"ties": "first"}),
    ("pixels or cells of 16 pixels", {}, {"unit": "patch"}),
)
NOTES = (
    "Scores under one protocol are comparable with each other; scores under two are not, whatever the name they share.",
)


@dataclass(frozen=True)
class AbsoluteIG(IntegratedGradients):
    """Integrated gradients without their sign, as many toolkits plot and score them."""

    card: ClassVar = ExplainerCard(
        "ig_absolute",
        source="Sundararajan, Taly & Yan 2017; absolute value as in many toolkits",
        summary="integrated gradients without their sign",
        version=2,
        family="gradient",
        passes="steps F + steps B",
    )

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:
        return super().__call__(model, images, targets).abs()


def run_protocols(suite: Suite | None, out: Path, means: Means, *, device: str | None = None) -> tuple[Results, Path]:
    """Score the suite's maps under every protocol into `out`; its own metrics are put aside. Resumable as any run.

    Without a suite: the demo's two models on planted images, trained where `out` does not hold them.
    """
    wanted = suite or _planted(out, progress=means.progress is not False)
    signed = [EXPLAINERS.build(entry) for entry in wanted.explainers]
    unsigned = {
        label(entry): AbsoluteIG(entry.steps, entry.baseline, entry.quadrature)
        for entry in signed
        if isinstance(entry, IntegratedGradients)
    }
    metrics = [*protocols(), *(metric for _, one, other in CHOICES for metric in (_changed(one), _changed(other)))]
    unique = {label(METRICS.build(metric)): metric for metric in metrics}
    wanted = replace(wanted, device=device or wanted.device, notes=(*NOTES, *wanted.notes))
    results = run_suite(
        replace(wanted, metrics=tuple(unique.values()), explainers=(*signed, *unsigned.values())), out, means
    )
    pairs = [(label(entry), label(unsigned.get(label(entry), entry))) for entry in signed]
    found = study(results.run, [label(METRICS.build(name)) for name in protocols()], _factors(pairs))
    return results, write_protocols(found, out / "report")


def protocols() -> tuple[str, ...]:
    """Every named protocol of the catalogue's faithfulness metrics, after the defaults of deletion and insertion."""
    named = (
        f"{name}@{protocol}"
        for name, kind in METRICS.items()
        if kind.card.family == "faithfulness" and kind.card.scope == "image"
        for protocol in kind.protocols
    )
    return ("deletion", "insertion", *named)


def _factors(explainers: Sequence[tuple[str, str]]) -> list[Factor]:
    """Every choice; `explainers` are (signed, without sign), the same where there is no sign to drop."""
    signed, unsigned = tuple(zip(*explainers, strict=True)) or ((), ())
    plain = [Factor(question, _side(one, signed), _side(other, signed)) for question, one, other in CHOICES]
    if signed == unsigned:
        return plain
    return [*plain, Factor("integrated gradients signed or absolute", _side({}, signed), _side({}, unsigned))]


def _side(changed: Table, explainers: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    return label(METRICS.build(_changed(changed))), explainers


def _changed(changes: Table) -> Table:
    return {**BASE, **changes}


def _planted(out: Path, *, progress: bool) -> Suite:
    return Suite(
        models=tuple(demo_models(out / "models", progress=progress)),
        data=({"name": "planted", "split": "shifted", "n": 24},),
        metrics=("deletion",),
        explainers=("gradcam", "ig", "random", "centre", "edges"),
        gallery=0,
    )
