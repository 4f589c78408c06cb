"""Pairs to verdicts, cell by cell; then Holm over all cells that were tested."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from xai_bench.gate.cells import Key, Pair, Records
from xai_bench.gate.sets import compared
from xai_bench.gate.sizes import Numbers, Spread, to_decide
from xai_bench.gate.worsening import Estimate, estimate
from xai_bench.reductions import REDUCTIONS
from xai_bench.stats.correction import holm

VERDICTS = ("regression", "vanished", "undecided", "improved", "pass", "unscored", "ignored", "new")  # worst first
SIGNS = {"higher": 1.0, "lower": -1.0}
NONE = Estimate(np.nan, np.nan, np.nan, np.nan, Spread(np.nan))
SAME = Estimate(0.0, 0.0, 0.0, np.nan, Spread(0.0))  # every difference is exactly 0: no test


class Verdict(NamedTuple):
    """One cell: what became of it since the reference, and why."""

    data: str
    model: str  # as the reference calls it
    explainer: str  # "none" where the metric needs no map
    metric: str
    verdict: str  # of VERDICTS
    better: str  # "higher", "lower" or "unstated"
    before: float = np.nan  # means over the paired images
    now: float = np.nan
    worse: float = np.nan  # mean worsening by image: above 0 is worse, whatever the metric's direction
    low: float = np.nan  # its one-sided bounds, each at level 1 - alpha, uncorrected
    high: float = np.nan
    p: float = np.nan  # one-sided, of no worsening; nan where no test was made
    p_holm: float = np.nan  # over all tests of the check
    margin: float = np.nan  # of worsening, in the metric's own unit
    n: int = 0  # images paired
    lost: int = 0  # images that had a score and have none now
    left: int = 0  # images undefined in both for the same reason
    needed: float = np.nan  # images that would decide an undecided cell with 90 % power; inf where none would
    note: str = ""


@dataclass(frozen=True)
class Found:
    """A cell measured, not judged yet."""

    key: Key
    better: str
    margin: float
    before: float = np.nan
    now: float = np.nan
    estimate: Estimate = NONE
    n: int = 0
    lost: int = 0
    left: int = 0
    other: int = 0  # undefined in both, but not for the same reason
    gained: int = 0  # with a score now that had none
    equal: bool = False  # every paired difference is exactly 0
    note: str = ""
    settled: str = ""  # the verdict, where no number decides it

    @property
    def whole(self) -> bool:
        """No image is without a score for a new reason: only then may the cell pass."""
        return not (self.lost or self.other)


def measured(key: Key, card: Mapping[str, Any], margin: float, pair: Pair, alpha: float, *, hits: bool) -> Found:
    """A cell of per-image scores."""
    paired, better = pair.paired, str(card.get("better", "unstated"))
    then, now = pair.then[paired], pair.now[paired]
    found = Found(
        key,
        better,
        margin,
        n=int(paired.sum()),
        lost=int(pair.lost.sum()),
        left=int(pair.left.sum()),
        other=int(pair.other.sum()),
        gained=int(pair.gained.sum()),
        note=_said(pair),
    )
    if not found.n:
        return found
    found = replace(found, before=float(then.mean()), now=float(now.mean()), equal=bool((then == now).all()))
    if found.equal or better not in SIGNS:
        return replace(found, estimate=SAME) if found.equal else found
    return replace(found, estimate=estimate(SIGNS[better] * differences(then, now), alpha, hits=hits))


def differences(then: Numbers, now: Numbers) -> Numbers:
    """Then minus now, (n,), without the last bits of the subtraction, so that equal ones are known as equal."""
    size = max(np.abs(then).max(), np.abs(now).max())
    decimals = 12 - int(np.ceil(np.log10(size))) if size > 0 else 0
    return np.asarray(np.round(then - now, min(decimals, 300)))


def of_records(found: Found, card: Mapping[str, Any], both: Records, alpha: float) -> Found:
    """A cell of a set metric: its number then and now on the images both have records of."""
    then_there, now_there = (np.isfinite(side).all(axis=1) for side in both)
    paired = then_there & now_there
    found = replace(found, n=int(paired.sum()), lost=int((then_there & ~now_there).sum()))
    reduction = str(card.get("reduction"))
    reduce = REDUCTIONS.get(reduction)
    if not found.n or reduce is None or both.then.shape[1] != both.now.shape[1]:
        return found
    then, now = both.then[paired], both.now[paired]
    before, after = reduce(then), reduce(now)
    found = replace(found, before=before, now=after, equal=bool((then == now).all()))
    if found.equal or found.better not in SIGNS or not np.isfinite(before - after):
        return replace(found, estimate=SAME) if found.equal else found
    sign = SIGNS[found.better]
    if reduction == "mean":
        return replace(found, estimate=estimate(sign * differences(then.mean(axis=1), now.mean(axis=1)), alpha))
    return replace(found, estimate=compared(reduction, then, now, sign, alpha))


def judged(found: Iterable[Found], alpha: float, undefined: float) -> list[Verdict]:
    """Verdicts of all cells of a check together."""
    cells = list(found)
    p = np.array([cell.estimate.p for cell in cells], np.float64)
    corrected = holm(p)
    tests = int(np.isfinite(p).sum())
    return [
        _verdict(cell, float(p[place]), float(corrected[place]), tests, alpha, undefined)
        for place, cell in enumerate(cells)
    ]


def _verdict(cell: Found, p: float, p_holm: float, tests: int, alpha: float, undefined: float) -> Verdict:
    verdict, note = _judged(cell, p_holm, alpha, undefined)
    mean, low, high, _, spread = cell.estimate
    decidable = verdict == "undecided" and cell.n > 1 and cell.whole
    level = alpha / max(tests, 1)  # Holm's first step, the hardest
    return Verdict(
        *cell.key,
        verdict,
        cell.better,
        *(cell.before, cell.now, mean, low, high, p, p_holm, cell.margin),
        *(cell.n, cell.lost, cell.left),
        to_decide(mean, spread, cell.margin, level=level, alpha=alpha) if decidable else np.nan,
        "; ".join(filter(None, (note, cell.note))),
    )


def _judged(cell: Found, p_holm: float, alpha: float, undefined: float) -> tuple[str, str]:
    """The verdict, and what must be said of it."""
    if cell.settled:
        return cell.settled, ""
    before = cell.n + cell.lost
    if before and cell.lost / before > undefined:
        return "regression", f"{cell.lost} of {before} images lost their score"
    if not cell.n:
        return "unscored" if cell.whole else "undecided", "no image has a score in both"
    if cell.equal:
        return "pass" if cell.whole else "undecided", ""
    if cell.better not in SIGNS:
        return "unscored", "the metric states no direction, so nothing says what is worse"
    return _tested(cell, p_holm, alpha), "one image has no spread" if cell.n == 1 else ""


def _tested(cell: Found, p_holm: float, alpha: float) -> str:
    mean, _, high, _, _ = cell.estimate
    if p_holm < alpha and mean > cell.margin:
        return "regression"
    if cell.whole and high < cell.margin:
        return "improved" if high < 0 else "pass"
    return "undecided"


def _said(pair: Pair) -> str:
    """`3 became undefined: map is constant`; what else became of images without a score."""
    parts = []
    lost = Counter("not scored now" if reason is None else str(reason) for reason in pair.reason[pair.lost])
    parts += [f"{count} became undefined: {reason}" for reason, count in lost.most_common()]
    changed = zip(pair.was[pair.other], pair.reason[pair.other], strict=True)
    other = Counter((str(was), "not scored now" if now is None else str(now)) for was, now in changed)
    parts += [f"{count} undefined for another reason: {now}, was {was}" for (was, now), count in other.most_common()]
    gained = int(pair.gained.sum())
    parts += [f"{gained} have a score now and had none"] if gained else []
    return "; ".join(parts)


def is_hit(card: Mapping[str, Any], scores: Iterable[Numbers]) -> bool:
    """Whether a metric's defined scores, of both runs, are 0 or 1 and nothing else may be beyond."""
    if (card.get("low"), card.get("high")) != (0, 1):
        return False
    return all(np.isin(values[np.isfinite(values)], (0, 1)).all() for values in scores)
