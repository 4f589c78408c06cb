"""A check for machines: as records, and as the JSON of github-action-benchmark."""

import math
from typing import Any

from xai_bench.gate.check import Check
from xai_bench.gate.exports import words
from xai_bench.gate.verdicts import Verdict

UNIT = "mean score"
BIGGER, SMALLER = "customBiggerIsBetter", "customSmallerIsBetter"  # tools of github-action-benchmark


def records(check: Check, *, allow_undecided: bool = False) -> dict[str, Any]:
    """Verdict, exit code, counts and every cell, all digits. JSON has no number that is none: nan and inf are null.

    `needed` of an undecided cell is null where no number of images would decide; `why` says so.
    """
    allowed = check.margins
    return {
        "run": check.run,
        "reference": check.reference,
        "verdict": check.verdict,
        "exit_code": check.exit_code(allow_undecided=allow_undecided),
        "counts": dict(check.counts),
        "sentence": check.sentence,
        "notes": list(check.notes),
        "advice": list(words.advice(check)),
        "alpha": allowed.alpha,
        "undefined": allowed.undefined,
        "margins": dict(allowed.margins),
        "ignore": list(allowed.ignore),
        "cells": [_record(cell) for cell in check.verdicts],
    }


def benchmark(check: Check) -> dict[str, list[dict[str, Any]]]:
    """Tool of github-action-benchmark -> its entries: the means of this run, for a chart over commits.

    Cells without a stated direction or a score are left out: nothing could be said of their change.
    """
    tools = {"higher": BIGGER, "lower": SMALLER}
    found: dict[str, list[dict[str, Any]]] = {BIGGER: [], SMALLER: []}
    for cell in check.verdicts:
        if cell.better in tools and math.isfinite(cell.now):
            found[tools[cell.better]].append(_entry(cell))
    return found


def _record(cell: Verdict) -> dict[str, Any]:
    facts = {name: _number(value) if isinstance(value, float) else value for name, value in cell._asdict().items()}
    return {"cell": words.title(cell), **facts, "why": words.why(cell)}


def _entry(cell: Verdict) -> dict[str, Any]:
    half = (cell.high - cell.low) / 2
    spread = {"range": f"± {half:.2g}"} if math.isfinite(half) else {}
    return {"name": words.title(cell), "unit": UNIT, "value": float(cell.now), **spread, "extra": _extra(cell)}


def _extra(cell: Verdict) -> str:
    """What a tooltip says; the range is that of the worsening since the reference."""
    before, worse = words.score(cell, cell.before), words.worse(cell)
    told = (cell.verdict, f"n = {cell.n:,}", before and f"reference {before}", worse and f"worse by {worse}")
    return ", ".join(filter(None, (*told, words.why(cell))))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
