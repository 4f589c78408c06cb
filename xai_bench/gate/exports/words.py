"""The words and numbers of one cell, which every form of a check shares."""

import math
from collections.abc import Sequence

from xai_bench import digits
from xai_bench.gate.check import FAILED, Check
from xai_bench.gate.verdicts import VERDICTS, Verdict
from xai_bench.grammar import ARROWS, about, counted, series, shown

QUIET = ("pass", "ignored")  # counted, and listed only where all cells are asked for
TINY = 1e-12  # stands for a margin of 0


def clipped(text: str, most: int) -> str:
    """At most so many letters, of both ends: names differ at their end as often as at their start."""
    flat = shown(text)
    half = most // 2
    return flat if len(flat) <= most else f"{flat[:half]}…{flat[len(flat) - (most - half - 1) :]}"


def title(cell: Verdict) -> str:
    """`deletion of gradcam on m (photos)`: the same from check to check, so that a cell is known by it."""
    whose = cell.model if cell.explainer == "none" else f"{cell.explainer} on {cell.model}"
    return shown(f"{cell.metric} of {whose} ({cell.data})")


def metric(cell: Verdict) -> str:
    """`deletion ↓`, the arrow pointing to better."""
    return shown(f"{cell.metric} {ARROWS.get(cell.better, '')}")


def explainer(cell: Verdict) -> str:
    """Blank where the metric needs no map."""
    return "" if cell.explainer == "none" else shown(cell.explainer)


def score(cell: Verdict, value: float) -> str:
    """A mean with the digits that the interval of its worsening deserves; blank where there is none."""
    return "" if math.isnan(value) else digits.number(value, cell.low, cell.high)


def worse(cell: Verdict) -> str:
    """`+0.041 [+0.030, +0.052]`; above 0 is worse, whatever the metric's direction."""
    if math.isnan(cell.worse):
        return ""
    point, *ends = (digits.number(value, cell.low, cell.high, "+") for value in (cell.worse, cell.low, cell.high))
    return point if math.isnan(cell.low) else f"{point} [{', '.join(ends)}]"


def margin(cell: Verdict) -> str:
    """Three digits that count; blank where none was applied."""
    return "" if math.isnan(cell.margin) else f"{cell.margin:.3g}"


def why(cell: Verdict) -> str:
    """What the numbers beside it do not say."""
    return shown("; ".join(filter(None, (cell.note, deciding(cell)))))


def deciding(cell: Verdict) -> str:
    """Why a cell is undecided, and how many images would decide it."""
    if cell.verdict != "undecided" or math.isnan(cell.needed):
        return ""
    over = f"over the margin, but p = {cell.p_holm:.2g} over all cells (Holm)"
    reason = over if cell.worse > cell.margin else "may be within the margin or over it"
    images = "no number of images" if math.isinf(cell.needed) else f"{about(cell.needed)} images"
    return f"{reason}; {images} would decide"


def level(check: Check) -> str:
    """`95 %`, of each of the bounds."""
    return f"{100 * (1 - check.margins.alpha):g} %"


def worst_first(check: Check) -> list[Verdict]:
    """Every cell; within a verdict those farthest over their margin first, then as the reference has them."""
    return sorted(check.verdicts, key=lambda cell: (VERDICTS.index(cell.verdict), -_excess(cell)))


def lead(check: Check) -> str:
    """`check of now against then, model m: 1 regression, 2 undecided and 26 pass`."""
    names = {name: sorted({str(getattr(cell, name)) for cell in check.verdicts}) for name in ("model", "data")}
    alone = [f"{name} {found[0]}" for name, found in names.items() if len(found) == 1]
    counts = series([f"{count:,} {verdict}" for verdict, count in check.counts.items()], len(VERDICTS))
    return shown(f"{', '.join([f'check of {check.run} against {check.reference}', *alone])}: {counts or 'no cells'}")


def differing(cells: Sequence[Verdict]) -> tuple[str, ...]:
    """Which of data and model tell these cells apart."""
    return tuple(name for name in ("data", "model") if len({getattr(cell, name) for cell in cells}) > 1)


def advice(check: Check) -> tuple[str, ...]:
    """What to do next, a sentence each; nothing where all is well."""
    said = check.counts
    found = []
    if any(verdict in said for verdict in FAILED):
        found.append(
            "Where the change is meant, accept it with `xai-bench reference update RUN REFERENCE` and commit the "
            "reference: its diff is what a reviewer agrees to."
        )
    if "vanished" in said:
        found.append("A vanished cell is in the reference and not in this run: score it again, or accept as above.")
    if "undecided" in said:
        found.append(_to_decide([cell for cell in check.verdicts if cell.verdict == "undecided"]))
    if "new" in said and not found:
        found.append("New cells are checked once `xai-bench reference update RUN REFERENCE` has put them in.")
    return tuple(found)


def _to_decide(cells: Sequence[Verdict]) -> str:
    known = [cell.needed for cell in cells if math.isfinite(cell.needed)]
    if not known:
        return "No number of images decides what is undecided: see why; `--allow-undecided` lets it pass."
    return (
        f"To decide what is undecided, score {about(max(known))} images, which would decide "
        f"{counted(len(known), 'cell')}, or allow a wider margin; `--allow-undecided` lets it pass."
    )


def _excess(cell: Verdict) -> float:
    """In margins; what has no number of its own is as bad as it gets."""
    if math.isnan(cell.worse) or math.isnan(cell.margin):
        return math.inf
    return (cell.worse - cell.margin) / max(cell.margin, TINY)
