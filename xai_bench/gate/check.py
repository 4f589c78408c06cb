"""A run held against a reference."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from xai_bench.comparison.checks import Named, check_match, models_of, nothing_shared, refuse, some
from xai_bench.comparison.notes import circumstances, other_classes
from xai_bench.errors import RunError
from xai_bench.gate.cells import Key, cells, is_of_set, pair, points, records, whole
from xai_bench.gate.margins import Margins
from xai_bench.gate.verdicts import VERDICTS, Found, Verdict, is_hit, judged, measured, of_records
from xai_bench.grammar import counted
from xai_bench.references import rounded
from xai_bench.runs.run import Run
from xai_bench.stats.blocks import checked

FAILED = ("regression", "vanished")
CODES = {"pass": 0, "regression": 1, "undecided": 3}  # of the process; 2 is bad input, 70 our fault
REMEDY = "score it the same way, or renew the reference (`xai-bench reference update`)"


@dataclass(frozen=True)
class Check:
    """What became of every cell of a reference."""

    run: str  # as the user calls it
    reference: str
    verdicts: tuple[Verdict, ...]  # in the order of the reference, new cells last
    notes: tuple[str, ...]  # what else differs and may explain it, a sentence each
    margins: Margins

    @property
    def verdict(self) -> str:
        """`regression` where a cell got worse or vanished, else `undecided` where one is, else `pass`."""
        counts = self.counts
        if any(counts.get(name) for name in FAILED):
            return "regression"
        return "undecided" if counts.get("undecided") else "pass"

    @property
    def code(self) -> int:
        """Exit code: 0 pass, 1 regression, 3 undecided."""
        return self.exit_code(allow_undecided=False)

    def exit_code(self, *, allow_undecided: bool) -> int:
        """Exit code; an undecided check is let through where that is allowed."""
        return 0 if allow_undecided and self.verdict == "undecided" else CODES[self.verdict]

    @property
    def counts(self) -> Mapping[str, int]:
        """Verdict -> cells, worst first."""
        found = Counter(verdict.verdict for verdict in self.verdicts)
        return {name: found[name] for name in VERDICTS if found[name]}

    @property
    def table(self) -> pd.DataFrame:
        """One row per cell, the fields of `Verdict`."""
        return pd.DataFrame(self.verdicts, columns=list(Verdict._fields))

    def of(self, *names: str) -> tuple[Verdict, ...]:
        """The cells of these verdicts."""
        return tuple(verdict for verdict in self.verdicts if verdict.verdict in names)

    @property
    def sentence(self) -> str:
        """`2 of 30 cells got worse: deletion of gradcam on m by 0.041 (margin 0.02); ...`."""
        decided = sum(verdict.verdict not in ("new", "ignored", "unscored") for verdict in self.verdicts)
        groups = [(name, self.of(name)) for name in (*FAILED, "undecided")]
        parts = [_clause(cells_, name, decided, self.margins.alpha) for name, cells_ in groups if cells_]
        if not parts:
            return f"Nothing got worse: {decided} of {decided} cells pass." if decided else "Nothing was decided."
        return f"{'. '.join(parts)}."


def check(
    run: Named, reference: Named, margins: Margins | None = None, *, match: Mapping[str, str] | None = None
) -> Check:
    """Hold a run against a reference, cell by cell; both are (name, Run).

    `match` says which model of the reference stands for which of the run. RunError where nothing can be compared: other
    images, another version or spec of a metric, nothing in common; names that nobody has are refused too.
    """
    allowed = margins or Margins()
    for side in (run, reference):
        _check_side(side)
    check_match(reference, [run], match or {})
    allowed.check(reference[1], run[1])
    models = _counterparts(run[1], reference[1], match or {})
    refuse(reference, run, REMEDY)
    held = _Held(run[1], reference[1], allowed, _names(run, reference[1], models))
    if not held.shared:
        raise RunError(nothing_shared(reference, run, models))
    notes = [*circumstances(reference, run, models), *other_classes(reference, run, models), *_order(run, reference)]
    found = list(held.found())
    verdicts = judged(found, allowed.alpha, allowed.undefined)
    return Check(run[0], reference[0], tuple(verdicts), tuple(dict.fromkeys([*notes, *_gained(found)])), allowed)


def _check_side(side: Named) -> None:
    """Scores, of one seed, one for each image."""
    name, run = side
    if run.scores.empty:
        raise RunError(f"{name!r} has no scores, so nothing can be checked; run its suite first")
    if (seeds := run.scores["seed"].nunique()) > 1:
        raise RunError(
            f"{name!r} has {seeds} seeds, but a check holds one run against one: a mean of several draws spreads less "
            "than one draw; check each by itself"
        )
    checked(run)


def _counterparts(run: Run, reference: Run, match: Mapping[str, str]) -> dict[str, str]:
    """Model of the reference -> model of the run: as asked, else of the same name where that is not taken."""
    there = {model: match.get(model, model) for model in models_of(reference)}
    taken = set(match.values())
    return {old: new for old, new in there.items() if new in models_of(run) and (old in match or new not in taken)}


def _names(run: Named, reference: Run, models: Mapping[str, str]) -> dict[str, str]:
    """Model of the run -> as the reference calls it; one that only shares the name of another is told apart."""
    back, taken = {new: old for old, new in models.items()}, models_of(reference)
    own = {model: f"{model} (of {run[0]})" if model in taken else model for model in models_of(run[1])}
    return own | back


def _order(run: Named, reference: Named) -> Iterator[str]:
    made = [str(one.info.get("created", "")) for _, one in (run, reference)]
    if all(made) and made[0] < made[1]:
        yield f"{reference[0]}, the reference, was made after {run[0]}: are they the wrong way round?"


def _gained(found: Sequence[Found]) -> Iterator[str]:
    """A reference of half a run would let the other half get worse unseen."""
    gained = [cell.gained for cell in found if cell.gained]
    if gained:
        yield (
            f"Up to {max(gained):,} images of {counted(len(gained), 'cell')} have a score now and had none in the "
            "reference, so that nothing is checked there; renew it to check them too."
        )


class _Held:
    """Both sides, by cell."""

    def __init__(self, run: Run, reference: Run, margins: Margins, names: Mapping[str, str]) -> None:
        self.reference, self.margins = reference, margins
        self.old, self.new = cells(reference), cells(run, names)
        self.cards = {**run.cards, **reference.cards}
        self.old_points, self.new_points = points(reference), points(run, names)
        self.hits = {metric: self._hits(metric) for metric in {key[3] for key in self.old}}
        self.allowed = {metric: margins.of(metric, reference) for metric in self.hits}

    @property
    def shared(self) -> bool:
        return not self.old.keys().isdisjoint(self.new)

    def found(self) -> Iterator[Found]:
        """Every cell of the reference, then the new ones."""
        yield from map(self._one, self.old)
        for key in self.new:
            if key not in self.old:
                yield Found(key, self._better(key), np.nan, settled="new")

    def _one(self, key: Key) -> Found:
        data, model, explainer, metric = key
        card, margin = self.cards.get(metric, {}), self.allowed[metric]
        if self.margins.ignores(metric, card, data, model, explainer):
            return Found(key, self._better(key), margin, settled="ignored")
        if key not in self.new:
            return Found(key, self._better(key), margin, settled="vanished")
        then, now = self.old[key], self.new[key]
        found = measured(key, card, margin, pair(then, now), self.margins.alpha, hits=self.hits[metric])
        return self._of_set(key, found) if is_of_set(then) else found

    def _of_set(self, key: Key, found: Found) -> Found:
        """By its images' records; where they are gone, only a number that stayed the same says anything."""
        (before, _), (now, reason) = whole(self.old[key]), whole(self.new[key])
        if np.isnan(before):
            return found
        if np.isnan(now):
            return replace(found, before=before, lost=1, note=f"became undefined: {reason}")
        if key in self.old_points and key in self.new_points:
            both = records(self.old_points[key], self.new_points[key])
            return of_records(found, self.cards.get(key[3], {}), both, self.margins.alpha)
        note = "" if before == now else "no records of its images, so no test"
        return replace(found, before=before, now=now, n=1, equal=before == now, note=note)

    def _better(self, key: Key) -> str:
        return str(self.cards.get(key[3], {}).get("better", "unstated"))

    def _hits(self, metric: str) -> bool:
        both = (rows for side in (self.old, self.new) for key, rows in side.items() if key[3] == metric)
        return is_hit(self.cards.get(metric, {}), (rounded(rows["score"].to_numpy(np.float64)) for rows in both))


def _clause(cells_: Sequence[Verdict], name: str, decided: int, alpha: float) -> str:
    words = {"regression": "got worse", "vanished": "vanished", "undecided": "cannot be told"}
    shown = some([_cell(verdict, alpha) for verdict in cells_])
    return f"{len(cells_)} of {decided} cells {words[name]}: {shown}"


def _cell(verdict: Verdict, alpha: float) -> str:
    """`deletion of gradcam on m by 0.041 (margin 0.02)`."""
    of = verdict.model if verdict.explainer == "none" else f"{verdict.explainer} on {verdict.model}"
    name = f"{verdict.metric} of {of}"
    if verdict.verdict != "regression":
        return name
    if verdict.p_holm < alpha and verdict.worse > verdict.margin:
        return f"{name} by {verdict.worse:.2g} (margin {verdict.margin:.2g})"
    return f"{name} ({verdict.note})"
