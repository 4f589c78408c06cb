"""How many images each cell of a run needs to be a good reference, and how many it has.

The standard deviation of the worsenings by image is unknown before there is a change. It is measured between the run
and an earlier one where there is one, such as of the last checkpoint. Else it is that of the scores themselves, which
is right where the scores before and after correlate by one half: sd^2 of a difference is 2 sd^2 (1 - correlation).
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from xai_bench.comparison.checks import Models, check_match, matched, refuse
from xai_bench.errors import InvalidValueError
from xai_bench.gate.cells import Key, cells, is_of_set, pair
from xai_bench.gate.margins import Margins
from xai_bench.gate.sets import Contribution, contributions
from xai_bench.gate.sizes import Numbers, Spread, tells, to_catch, to_pass
from xai_bench.gate.verdicts import SIGNS, is_hit
from xai_bench.runs.identity import model_prints
from xai_bench.runs.run import Run

Rows = Mapping[Key, pd.DataFrame]
EARLIER, SCORES = "earlier run", "scores"  # where a spread comes from
REMEDY = "take an earlier run of the same suite"
NO_MARGIN = "a margin of 0 cannot be told from twice of it: give it a margin"
TOO_FEW = "fewer than two images have a score"
ALL_EQUAL = "all scores are equal: nothing is known of their spread"


class Size(NamedTuple):
    """How many images one cell needs, and how many it has."""

    data: str
    model: str
    explainer: str  # "none" where the metric needs no map
    metric: str
    margin: float  # in the metric's own unit
    spread: float  # standard deviation of the worsenings by image, in the metric's own unit; nan where unknown
    source: str  # of the spread: EARLIER or SCORES
    to_catch: float  # scores that catch a worsening of twice the margin; inf where none would, nan where unknown
    to_pass: float  # scores that pass what has not changed
    scored: int  # images that have a score
    images: int  # images that were to have one
    tells: float  # the least margin for which the scores that are there would be enough
    note: str = ""

    @property
    def needed(self) -> float:
        """Images, where as many of them stay without a score as here."""
        scores = max(self.to_catch, self.to_pass)
        return float(math.ceil(scores * self.images / self.scored)) if math.isfinite(scores) else scores

    @property
    def short(self) -> bool:
        """Whether there are fewer; a cell of which nothing is known is short."""
        return not self.images >= self.needed


class _Known(NamedTuple):
    """What a run says of one cell; without a spread where it says nothing."""

    images: int
    scored: int
    spread: Spread | None
    source: str = SCORES


def sizes(
    run: Run, margins: Margins, *, earlier: Run | None = None, match: Mapping[str, str] | None = None
) -> tuple[Size, ...]:
    """Of each cell of a run that will be judged, in its order.

    `earlier` is another run on the same images; `match` says which of its models stands for which of the run's. Raises
    RunError where the two cannot be paired.
    """
    judged = {key: rows for key, rows in cells(run).items() if _is_judged(run, margins, key)}
    measured = {} if earlier is None else _spreads_since(earlier, run, match or {})
    known = {**_of_images(run, judged, measured), **_of_sets(run, judged)}
    tests = sum(known[key].spread is not None for key in judged)
    allowed = {metric: margins.of(metric, run) for metric in dict.fromkeys(key[3] for key in judged)}
    return tuple(_size(key, known[key], allowed[key[3]], margins.alpha, tests) for key in judged)


def _is_judged(run: Run, margins: Margins, key: Key) -> bool:
    """What is ignored, or states no direction, decides nothing."""
    card = run.cards.get(key[3], {})
    return card.get("better") in SIGNS and not margins.ignores(key[3], card, *key[:3])


def _size(key: Key, known: _Known, margin: float, alpha: float, tests: int) -> Size:
    counts = known.scored, known.images
    if known.spread is None:
        note = TOO_FEW if known.scored < 2 else ALL_EQUAL
        return Size(*key, margin, math.nan, "", math.nan, math.nan, *counts, math.nan, note)
    level = alpha / tests  # Holm's first step, the hardest
    found = to_catch(known.spread, margin, level), to_pass(known.spread, margin, alpha)
    least = tells(known.spread, known.scored, level, alpha)
    return Size(*key, margin, known.spread.sd, known.source, *found, *counts, least, "" if margin else NO_MARGIN)


def _of_images(run: Run, judged: Rows, measured: Mapping[Key, Spread]) -> dict[Key, _Known]:
    """Cells with a score of each image; the spread measured since an earlier run goes before that of the scores."""
    scores = {key: pair(rows, rows).now for key, rows in judged.items() if not is_of_set(rows)}
    hits = _hits(run, scores)
    return {
        key: _Known(
            len(values),
            len(defined := values[np.isfinite(values)]),
            measured.get(key) or _of_scores(defined, hits=key[3] in hits),
            EARLIER if key in measured else SCORES,
        )
        for key, values in scores.items()
    }


def _of_scores(scores: Numbers, *, hits: bool) -> Spread | None:
    """Of hits with one image added on either side, as Bonett and Price add them: none lost of 50 is not none ever."""
    if len(scores) < 2 or (not hits and np.ptp(scores) == 0):
        return None
    if not hits:
        return Spread(float(scores.std(ddof=1)))
    share = (scores.sum() + 1) / (len(scores) + 2)
    return Spread(math.sqrt(share * (1 - share)), hits=True)


def _of_sets(run: Run, judged: Rows) -> dict[Key, _Known]:
    """Metrics of a whole set; images without a record have a row with the reason."""
    of_sets = {key: rows for key, rows in judged.items() if is_of_set(rows)}
    found = contributions(run, {key[3] for key in of_sets})
    return {key: _of_set(rows, found.get(key, Contribution(0, math.nan))) for key, rows in of_sets.items()}


def _of_set(rows: pd.DataFrame, one: Contribution) -> _Known:
    return _Known(max(one.n, int((rows["sample"] != "*").sum())), one.n, Spread(one.sd) if one.sd > 0 else None)


def _spreads_since(earlier: Run, run: Run, match: Models) -> dict[Key, Spread]:
    """Of the differences to an earlier run; a cell in which nothing differs says nothing of the next change."""
    old, new = ("the earlier run", earlier), ("the run", run)
    check_match(old, [new], match)
    models = matched(old, new, match)
    refuse(old, new, REMEDY)
    prints = model_prints(earlier), model_prints(run)
    if same := [new for old, new in models.items() if prints[0][old] == prints[1][new]]:
        raise InvalidValueError(
            f"the earlier run holds the same weights of model {same[0]!r}, so it tells nothing of a change; give "
            "a run of an earlier checkpoint"
        )
    before = cells(earlier, models)
    pairs = {key: pair(before[key], rows) for key, rows in cells(run).items() if key in before and not is_of_set(rows)}
    hits = _hits(run, {key: np.concatenate([found.then, found.now]) for key, found in pairs.items()})
    apart = {key: (found.now - found.then)[found.paired] for key, found in pairs.items()}
    told = {key: values for key, values in apart.items() if len(values) > 1 and values.any()}
    return {key: _of_differences(values, hits=key[3] in hits) for key, values in told.items()}


def _of_differences(apart: Numbers, *, hits: bool) -> Spread:
    if not hits:
        return Spread(float(apart.std(ddof=1)))
    return Spread(math.sqrt((np.count_nonzero(apart) + 2) / (len(apart) + 2)), hits=True)


def _hits(run: Run, scores: Mapping[Key, Numbers]) -> set[str]:
    """The metrics that can only be hit or missed."""
    metrics = {key[3] for key in scores}
    return {
        metric
        for metric in metrics
        if is_hit(run.cards.get(metric, {}), (values for key, values in scores.items() if key[3] == metric))
    }
