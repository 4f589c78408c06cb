"""Paired differences by image on what two runs share; the first run is the reference."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from xai_bench import stats
from xai_bench.comparison.checks import (
    Models,
    Named,
    check_match,
    check_runs,
    matched,
    nothing_defined,
    nothing_shared,
    refuse,
)
from xai_bench.comparison.notes import notes
from xai_bench.comparison.shared import CELL, mean, side_by_side
from xai_bench.errors import RunError, UnknownNameError
from xai_bench.runs.identity import metric_specs
from xai_bench.runs.run import Run

COLUMNS = [
    *("across", "data", "metric", "direction", "fixed", "model", "reference_model", "explainer", "a", "b"),
    *("mean_a", "mean_b", "difference", "low", "high", "p", "p_holm", "effect", "n", "undefined", "lost", "needed"),
    *("sd_images", "seeds", "sd_seeds", "agree"),
    *("better", "note"),
]
OF_SET = "one number of the whole set: no paired test"


@dataclass(frozen=True, eq=False)
class Compared:
    """Each run against the first; see `stats.paired` for the columns that are not told here.

    `across` is "run", `a` the run, `b` the reference, so that a difference is what changed; `fixed` names explainer and
    model; `lost` counts the images that the reference has a score of and the run has not; `p_holm` is corrected over
    all rows of a metric.
    """

    names: tuple[str, ...]  # of the runs, the reference first
    table: pd.DataFrame  # COLUMNS
    notes: tuple[str, ...]  # what differs besides the scores, a sentence each
    cards: Mapping[str, Mapping[str, Any]]  # of the metrics


def compare(
    runs: Sequence[Named], *, match: Mapping[str, str] | None = None, metrics: Collection[str] = ()
) -> Compared:
    """Every run against the first, on the cells and images that both have.

    `match` says which model stands for which (of the reference -> of the others); runs of one model each are matched
    by themselves. `metrics` are the ones to compare, all where none is named. RunError where nothing can be compared.
    """
    check_runs(runs)
    chosen = [(name, _only(name, run, metrics)) for name, run in runs]
    reference, *others = chosen
    check_match(reference, others, match or {})
    pairs = [matched(reference, other, match or {}) for other in others]
    for other in others:
        refuse(reference, other)
    tables = [_differences(reference, other, models) for other, models in zip(others, pairs, strict=True)]
    said = [note for other, models in zip(others, pairs, strict=True) for note in notes(reference, other, models)]
    cards = {name: dict(reference[1].cards.get(name, {})) for name in metric_specs(reference[1])}
    return Compared(tuple(name for name, _ in runs), _corrected(tables), tuple(dict.fromkeys(said)), cards)


def _only(name: str, run: Run, metrics: Collection[str]) -> Run:
    """The run with the wanted metrics alone; curves and pictures play no part."""
    known = {str(metric) for metric in run.scores["metric"].unique()}
    for metric in metrics:
        if metric not in known:
            raise UnknownNameError.of(f"metric of run {name!r}", metric, known)
    scores = run.scores[run.scores["metric"].isin(list(metrics))] if metrics else run.scores
    return Run(scores, pd.DataFrame(), run.cards, run.explainers, run.info)


def _differences(reference: Named, other: Named, models: Models) -> pd.DataFrame:
    """Rows of COLUMNS, not yet corrected over several runs."""
    both = side_by_side(reference[1], other[1], models)
    if both.empty:
        raise RunError(nothing_shared(reference, other, models))
    labels = {old: (old, new) for old, new in models.items()}
    whole = both["sample"] == "*"
    parts = [_tested(reference[1], both[~whole])] if not whole.all() else []
    parts += [_of_sets(both[whole])] if whole.any() else []
    table = pd.concat([part.reindex(columns=COLUMNS) for part in parts], ignore_index=True)
    if not table["n"].any():
        raise RunError(nothing_defined(reference, other))
    old_and_new = [labels[model] for model in table["model"]]
    cards = reference[1].cards
    return table.assign(
        across="run",
        a=other[0],
        b=reference[0],
        reference_model=[old for old, _ in old_and_new],
        model=[new for _, new in old_and_new],
        fixed=[_fixed(e, *pair) for e, pair in zip(table["explainer"], old_and_new, strict=True)],
        direction=[cards.get(metric, {}).get("better", "unstated") for metric in table["metric"]],
    )


def _fixed(explainer: str, old: str, new: str) -> str:
    """`gradcam of ersm`, `gradcam of new (old in the reference)`."""
    model = new if old == new else f"{new} ({old} in the reference)"
    return model if explainer == "none" else f"{explainer} of {model}"


def _tested(reference: Run, both: pd.DataFrame) -> pd.DataFrame:
    """`stats.paired` of the two runs as if they were two models, under each model and explainer as if it were one."""
    place = both.groupby(["model", "explainer"], sort=False).ngroup()
    names = both[["model", "explainer"]].groupby(place).first()
    sides = [
        both[["data", "metric", "sample", "seed"]].assign(model=side, explainer=place.astype(str), score=both[column])
        for side, column in (("a", "score_a"), ("b", "score_b"))
    ]
    found = stats.paired(Run(pd.concat(sides, ignore_index=True), pd.DataFrame(), reference.cards), "model")
    of = names.loc[found["fixed"].astype(int)].reset_index(drop=True)
    lost = both.assign(lost=both["score_b"].notna() & both["score_a"].isna())
    counts = lost.groupby(CELL, sort=False, as_index=False)["lost"].sum()
    return found.assign(model=of["model"], explainer=of["explainer"]).merge(counts, on=CELL, how="left")


def _of_sets(both: pd.DataFrame) -> pd.DataFrame:
    """Metrics of a whole set have one number each; several seeds give their mean."""
    means = both.groupby(CELL, sort=False, as_index=False)[["score_a", "score_b"]].agg(mean)
    difference = means["score_a"] - means["score_b"]
    defined = difference.notna().astype(int)
    named = means.rename(columns={"score_a": "mean_a", "score_b": "mean_b"}).assign(difference=difference)
    return named.assign(n=defined, undefined=1 - defined, lost=0, seeds=1, better="", note=OF_SET)


def _corrected(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All runs in one table, and Holm over all of them: a metric is one question, however many runs it is asked of."""
    table = _by_metric(pd.concat(tables, ignore_index=True))
    p = table["p"].astype(np.float64)
    corrected = p.groupby(table["metric"], sort=False).transform(lambda part: stats.holm(part.to_numpy(np.float64)))
    return table.assign(p_holm=corrected, better=table["better"].where(corrected < 1 - stats.LEVEL, ""))


def _by_metric(table: pd.DataFrame) -> pd.DataFrame:
    """What is compared by one metric stands together; data, metrics, and the rest within, in their order."""
    places = {name: pd.factorize(table[name])[0] for name in ("data", "metric")}
    return table.iloc[np.lexsort((places["metric"], places["data"]))].reset_index(drop=True)
