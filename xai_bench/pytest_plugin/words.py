"""What a test says of its cell, in a few lines. Brings pandas: imported where a test has something to say."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from xai_bench.gate import Check, Verdict
from xai_bench.gate.check import FAILED
from xai_bench.gate.exports import words
from xai_bench.grammar import ARROWS

ACCEPT = "if that is wanted, --xai-bench-update makes the run the reference"
ALLOW = "score more images, or let it pass with --xai-bench-allow-undecided"
PROPERTIES = ("verdict", "before", "now", "worse", "low", "high", "margin", "p_holm", "n", "lost", "left")


def worse(cell: Verdict, failures: Sequence[str] = ()) -> str:
    """Of a regression, or of a cell that vanished and why; the first line stands in pytest's summary."""
    if cell.verdict == "vanished":
        return _lines("vanished: the reference has it and the run has not", cell, *failures[:1], ACCEPT)
    if cell.worse > cell.margin:
        return _lines(f"worse by {words.worse(cell)}, margin {words.margin(cell)}", cell, words.why(cell), ACCEPT)
    return _lines(words.why(cell), cell, ACCEPT)


def undecided(cell: Verdict) -> str:
    """Why, and what would decide."""
    by = f"worse by {words.worse(cell)}, margin {words.margin(cell)}" if cell.n else ""
    return _lines(f"cannot tell: {words.why(cell)}", cell, by, ALLOW)


def _lines(first: str, cell: Verdict, *rest: str) -> str:
    better = f" ({cell.better} is better)" if cell.better in ARROWS else ""
    p = f", p = {cell.p_holm:.2g} (Holm)" if math.isfinite(cell.p_holm) else ""
    means = f"from {words.score(cell, cell.before)} to {words.score(cell, cell.now)}{better}, {cell.n:,} images{p}"
    return "\n  ".join(filter(None, [first, words.title(cell), means if cell.n else "", *rest]))


def whole(check: Check, *, allow_undecided: bool) -> str:
    """Of a check that fails: the sentence, and the lines of each cell that is to blame."""
    blamed = list(map(worse, check.of(*FAILED)))
    blamed += [] if allow_undecided else map(undecided, check.of("undecided"))
    return "\n".join([check.sentence, *blamed, *check.notes])


def without(cell: Verdict) -> str:
    """Of a cell that decides nothing."""
    return f"{cell.verdict}: {words.title(cell)}{': ' if cell.note else ''}{words.why(cell)}"


def new(cells: Sequence[Verdict]) -> str:
    """Of cells that the reference has not."""
    named = "; ".join(map(words.title, cells))
    return f"not in the reference, so not checked: {named}; --xai-bench-update takes them in"


def first(reference: Path) -> str:
    """Of a reference that is written for the first time."""
    return f"there was no reference, now there is one; look at it, commit it and run again: {reference}"


def properties(cell: Verdict) -> Iterator[tuple[str, str]]:
    """For the JUnit report."""
    for name in PROPERTIES:
        value = getattr(cell, name)
        yield name, f"{value:.6g}" if isinstance(value, float) else str(value)
