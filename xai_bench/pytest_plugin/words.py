"""What a test says of its cell, in a few lines."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xai_bench.gate import Check, Verdict

ACCEPT = "if that is wanted, --xai-bench-update makes the run the reference"
ALLOW = "score more images, or let it pass with --xai-bench-allow-undecided"
PROPERTIES = ("verdict", "before", "now", "worse", "low", "high", "margin", "p_holm", "n", "lost", "left")


def cell(verdict: "Verdict") -> str:
    """`deletion of gradcam on resnet18 (photos)`."""
    of = f" of {verdict.explainer}" if verdict.explainer != "none" else ""
    return f"{verdict.metric}{of} on {verdict.model} ({verdict.data})"


def worse(verdict: "Verdict", failures: Sequence[str]) -> str:
    """Of a regression, or of a cell that vanished and why; the first line stands in pytest's summary."""
    if verdict.verdict == "vanished":
        return "\n  ".join(["vanished: the reference has it and the run has not", cell(verdict), *failures[:1], ACCEPT])
    by_mean = verdict.worse > verdict.margin
    first = f"got worse by {verdict.worse:.3g}, margin {verdict.margin:.3g}" if by_mean else verdict.note
    rest = [verdict.note] if by_mean and verdict.note else []
    return "\n  ".join([first, cell(verdict), *_numbers(verdict), *rest, ACCEPT])


def undecided(verdict: "Verdict") -> str:
    """What would decide."""
    first = "cannot tell"
    if math.isfinite(verdict.needed):
        first += f", {verdict.needed:,.0f} images would decide"
    return "\n  ".join([first, cell(verdict), *_numbers(verdict), *([verdict.note] if verdict.note else []), ALLOW])


def whole(check: "Check", *, allow_undecided: bool) -> str:
    """Of a check that fails: the sentence, and the lines of each cell that is to blame."""
    blamed = [worse(verdict, ()) for verdict in check.of("regression", "vanished")]
    blamed += [] if allow_undecided else [undecided(verdict) for verdict in check.of("undecided")]
    return "\n".join([check.sentence, *blamed, *check.notes])


def without(verdict: "Verdict") -> str:
    """Of a cell that decides nothing."""
    return f"{verdict.verdict}: {cell(verdict)}{': ' if verdict.note else ''}{verdict.note}"


def new(verdicts: "Sequence[Verdict]") -> str:
    """Of cells that the reference has not."""
    named = "; ".join(map(cell, verdicts))
    return f"not in the reference, so not checked: {named}; --xai-bench-update takes them in"


def first(reference: Path) -> str:
    """Of a reference that is written for the first time."""
    return f"there was no reference; it is written to {reference}: look at it, commit it, and run again"


def properties(verdict: "Verdict") -> Iterator[tuple[str, str]]:
    """For the JUnit report."""
    for name in PROPERTIES:
        value = getattr(verdict, name)
        yield name, f"{value:.6g}" if isinstance(value, float) else str(value)


def _numbers(verdict: "Verdict") -> Iterator[str]:
    """None where no image is left."""
    if math.isfinite(verdict.worse):
        better = f" ({verdict.better} is better)" if verdict.better != "unstated" else ""
        p = f", p = {verdict.p_holm:.2g} (Holm)" if math.isfinite(verdict.p_holm) else ""
        bounds = f"worse by {verdict.worse:.3g} [{verdict.low:.3g}, {verdict.high:.3g}], margin {verdict.margin:.3g}"
        yield f"from {verdict.before:.4g} to {verdict.now:.4g}{better}, {verdict.n:,} images: {bounds}{p}"
